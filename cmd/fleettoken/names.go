package main

import "strings"

// settingNames returns what puts the names of settings where the library's
// messages have those of its fields. Who runs a command has never seen the
// fields. secretSetting is where the client's secret came from.
func settingNames(secretSetting string) *strings.Replacer {
	const p = settingPrefix
	if secretSetting == "" {
		secretSetting = p + "CLIENT_SECRET"
	}
	return strings.NewReplacer(
		"Credentials.Audience, Organization, Scopes and Params", p+"AUDIENCE, "+p+"ORGANIZATION, "+p+"SCOPES and "+p+"PARAMS",
		"Credentials.TokenURL", p+"TOKEN_URL",
		"TokenURL", p+"TOKEN_URL",
		"Credentials.ClientID", p+"CLIENT_ID",
		"Credentials.ClientSecret", secretSetting,
		"Credentials.Audience", p+"AUDIENCE",
		"Credentials.Organization", p+"ORGANIZATION",
		"Credentials.Scopes", p+"SCOPES",
		"Credentials.Params", p+"PARAMS",
		"Credentials.Encoding", p+"ENCODING",
		"Options.Prefix", p+"PREFIX",
		"Options.Replica", p+"REPLICA",
		"Options.RenewBefore", p+"RENEW_BEFORE",
		"Options.RequestTimeout", p+"REQUEST_TIMEOUT",
		"Options.RedisTimeout", p+"REDIS_TIMEOUT",
		"Options.EncryptionKeys", p+"ENCRYPTION_KEYS_FILE",
	)
}

// addLibrary notes what the library says.
func (p *problems) addLibrary(err error, names *strings.Replacer) {
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "tokencache: ")
		p.add("%s", names.Replace(line))
	}
}
