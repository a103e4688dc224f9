package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// maxSecretFile is more than any secret needs. It keeps a wrong path, such as
// that of a device, from being read for ever.
const maxSecretFile = 64 << 10

// readSecretFile returns what is in the file that a setting names, which is a
// secret. It warns if everybody can read it.
func (a *app) readSecretFile(setting, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", setting, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", setting, err)
	case info.IsDir():
		return "", fmt.Errorf("%s: %s is a directory: name the file in it", setting, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", setting, err)
	case len(data) > maxSecretFile:
		return "", fmt.Errorf("%s: %s has more than 64 KiB, so it is no secret", setting, path)
	case strings.TrimSpace(string(data)) == "":
		return "", fmt.Errorf("%s: %s is empty", setting, path)
	}
	if info.Mode().Perm()&0o004 != 0 && runtime.GOOS != "windows" {
		a.say("%s: everybody on this machine can read %s", setting, path)
		a.hint("chmod o-r %s", path)
	}
	return string(data), nil
}

// clientSecret returns the client's secret and the setting that holds it. A
// newline at the end of the file is told, and not cut off: whoever reads the same
// file with other tools sends it, and wonders why the secret is wrong.
func (a *app) clientSecret(s settings, problems *problems) (secret, setting string) {
	const inline, file = settingPrefix + "CLIENT_SECRET", settingPrefix + "CLIENT_SECRET_FILE"
	switch {
	case s.ClientSecret != "" && s.ClientSecretFile != "":
		problems.add("%s and %s are both set: unset one", inline, file)
	case s.ClientSecretFile != "":
		data, err := a.readSecretFile(file, s.ClientSecretFile)
		switch {
		case err != nil:
			problems.add("%v", err)
		case strings.HasSuffix(data, "\n"):
			a.hide(strings.TrimRight(data, "\r\n"))
			problems.add("%s: %s ends with a newline, which is no part of the secret: write it again without, as with printf %%s in place of echo", file, s.ClientSecretFile)
		default:
			a.hide(data)
			return data, file
		}
	default:
		a.hide(s.ClientSecret)
		return s.ClientSecret, inline
	}
	return "", ""
}
