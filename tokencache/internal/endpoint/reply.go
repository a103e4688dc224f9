package endpoint

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// An errorReply is what an error response says. Its text never leaves this package: a
// server may echo the request.
type errorReply struct {
	code    string   // "error", or a provider's own, if it reads like a code
	text    string   // every text in it, in lower case
	numbers []string // "error_codes", as Entra has them
}

// parseError reads an error response. "error" is a string by RFC 6749. Servers send
// numbers, objects and null as well.
func parseError(data []byte) errorReply {
	var fields map[string]any
	if json.Unmarshal(withoutBOM(data), &fields) != nil {
		return errorReply{text: strings.ToLower(string(data[:min(len(data), 4096)]))}
	}
	var texts []string
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case string:
			texts = append(texts, v)
		case map[string]any:
			for _, name := range textFields {
				collect(v[name])
			}
		case []any:
			for _, member := range v[:min(len(v), 8)] {
				collect(member)
			}
		}
	}
	collect(fields)
	reply := errorReply{text: strings.ToLower(strings.Join(texts, "\n"))}
	for _, name := range []string{"error", "errorCode", "error_code", "code"} {
		if code, ok := fields[name].(string); ok && isErrorCode(code) {
			reply.code = code
			break
		}
	}
	numbers, _ := fields["error_codes"].([]any)
	for _, n := range numbers[:min(len(numbers), 4)] {
		if f, ok := n.(float64); ok && f > 0 && f < 1e9 {
			reply.numbers = append(reply.numbers, strconv.Itoa(int(f)))
		}
	}
	return reply
}

// textFields are the fields of an error response that say what is wrong: those of RFC 6749
// and RFC 9457, of Auth0, Okta, Entra, AWS and Apigee.
var textFields = []string{
	"error", "error_description", "errorCode", "error_code", "message", "Message", "code", "error_message", "errorMessage", "errorSummary",
	"detail", "title", "reason", "status_description", "fault", "faultstring", "errors", "errorCauses",
}

// isErrorCode reports whether s reads like a code, so that it can be shown: a word of
// letters, digits and the marks between them, and not the echo of something else.
func isErrorCode(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return s != "" && len(s) <= 40 && strings.Trim(s, letters+"0123456789_.-") == "" && strings.ContainsAny(s[:1], letters)
}

// says reports whether one of some words is in the text, as a word of its own.
func (r errorReply) says(words ...string) bool {
	for _, word := range words {
		for rest := r.text; ; {
			i := strings.Index(rest, word)
			if i < 0 {
				break
			}
			end := i + len(word)
			if !(i > 0 && inWord(rest[i-1])) && !(end < len(rest) && inWord(rest[end])) {
				return true
			}
			rest = rest[end:]
		}
	}
	return false
}

func inWord(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' }

// counts reports whether the text has a limit of tokens in a time, such as "10
// tokens/28800 seconds".
func (r errorReply) counts() bool { return tokensPerTime.MatchString(r.text) }

var tokensPerTime = regexp.MustCompile(`\b\d+ tokens ?(/|per) ?\w`)

// blamesCredentials reports whether the text says that the client or its secret is wrong,
// in one of the ways in which providers say it, whatever the status and the code.
func (r errorReply) blamesCredentials() bool {
	return r.says("invalid client", "invalid_client", "unknown client", "unknown_client", "client not found", "no client with", "client secret", "client_secret",
		"invalid secret", "bad secret", "invalid credentials", "invalid_credentials", "client credentials", "bad credentials", "wrong credentials", "bad client credentials",
		"client authentication", "authentication failed", "authentication failure", "invalid api key", "invalid_api_key", "invalid username or password")
}

// blamesForm reports whether the text may be about how the request was written, or where
// the credentials were in it. A server that does not read the body finds no parameters.
func (r errorReply) blamesForm() bool {
	return r.says("content-type", "content type", "media type", "unsupported media", "x-www-form-urlencoded", "application/json", "malformed", "cannot parse", "could not parse", "parse error",
		"no client authentication", "no client credentials", "unsupported authentication method", "authentication method", "basic authentication", "authorization header",
		"missing parameter", "missing required parameter", "required parameter", "is missing", "missing grant_type", "grant_type is required", "missing client_id", "parameter missing", "must be supplied", "not provided")
}

// entra returns the code by which Entra names an unknown client or tenant, or "".
func (r errorReply) entra() string {
	for _, n := range r.numbers {
		switch n {
		case "700016", "90002", "7000215", "7000222", "7000216", "900023", "90023":
			return "AADSTS" + n
		}
	}
	return ""
}
