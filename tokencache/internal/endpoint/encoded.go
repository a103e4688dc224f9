package endpoint

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
)

// maxResponse is how much of a token response is read.
const maxResponse = 64 << 10

// decoded returns a body without its Content-Encoding, and at most a byte more than
// maxResponse of it. A request asks for none, and some proxies and delivery networks
// compress all the same. A body that cannot be decoded is returned as it is.
func decoded(h http.Header, body []byte) []byte {
	for _, open := range decoders(strings.Join(h.Values("Content-Encoding"), ","), body) {
		r, err := open(bytes.NewReader(body))
		if err != nil {
			continue
		}
		plain, err := io.ReadAll(io.LimitReader(r, maxResponse+1))
		if err == nil || len(plain) > maxResponse {
			return plain
		}
	}
	return body
}

// decoders returns the ways in which a body may be encoded, to be tried in order.
func decoders(encoding string, body []byte) []func(io.Reader) (io.Reader, error) {
	unzip := func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
	inflate := func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }
	inflateRaw := func(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil } // as some servers do
	switch encoding = strings.ToLower(encoding); {
	case strings.Contains(encoding, "gzip"), bytes.HasPrefix(body, []byte("\x1f\x8b")):
		return []func(io.Reader) (io.Reader, error){unzip}
	case strings.Contains(encoding, "deflate"):
		return []func(io.Reader) (io.Reader, error){inflate, inflateRaw}
	}
	return nil
}
