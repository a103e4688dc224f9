package fromenv

import (
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// This file reads the files that settings name.

// maxSecretFile is more than any secret needs. It keeps a wrong path, such as that of a
// device, from being read without end.
const maxSecretFile = 64 << 10

// readSecretFile returns what is in a file of secrets. It warns if everybody can read it.
func readSecretFile(setting, path string, found *findings) (string, bool) {
	fail := func(problem, advice string) (string, bool) {
		found.mistake(setting, problem, advice)
		return "", false
	}
	f, err := os.Open(path)
	if err != nil {
		return fail("cannot be read", err.Error())
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return fail("cannot be read", err.Error())
	case info.IsDir():
		return fail(fmt.Sprintf("is %s, a directory", path), "name the file in it")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	switch {
	case err != nil:
		return fail("cannot be read", err.Error())
	case len(data) > maxSecretFile:
		return fail(fmt.Sprintf("names %s, which has more than 64 KiB", path), "name a file of a secret")
	case strings.TrimSpace(string(data)) == "":
		return fail(fmt.Sprintf("names %s, which is empty", path), "write the secret into it")
	}
	if info.Mode().Perm()&0o004 != 0 && runtime.GOOS != "windows" {
		found.warning(setting, fmt.Sprintf("names %s, which every user of this machine can read", path),
			fmt.Sprintf("chmod o-r %s, or mount it with mode 0440", path))
	}
	return string(data), true
}

// clientSecret returns the client's secret and the setting that it is from. One newline
// at the end of its file is no part of it: editors, echo and Kubernetes write one.
func clientSecret(s settings, found *findings) (secret, setting string) {
	const inline, file = "CLIENT_SECRET", "CLIENT_SECRET_FILE"
	if s.ClientSecretFile == "" {
		return s.ClientSecret, Prefix + inline
	}
	if s.ClientSecret != "" {
		found.mistake(file, "and "+Prefix+inline+" are both set", "unset one")
		return "", Prefix + file
	}
	secret, _ = readSecretFile(file, s.ClientSecretFile, found)
	secret = strings.TrimSuffix(secret, "\n")
	return strings.TrimSuffix(secret, "\r"), Prefix + file
}

// roots returns the certificate authorities of the system and those in a file. Without a
// file it returns nil, which means the system's.
func roots(setting, path string, found *findings) *x509.CertPool {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		found.mistake(setting, "cannot be read", err.Error())
		return nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // there may be none, as in a container from scratch
	}
	if !pool.AppendCertsFromPEM(data) {
		found.mistake(setting, fmt.Sprintf("names %s, which has no certificate in it", path), "it must be PEM, beginning with -----BEGIN CERTIFICATE-----")
		return nil
	}
	return pool
}
