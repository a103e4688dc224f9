package tokencache

import (
	"bytes"
	"compress/gzip"
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
)

// A countedConn counts what is read from it.
type countedConn struct {
	net.Conn
	read *atomic.Int64
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// through lets r ask through the transport that is the default, which counts what
// it reads.
func (f *fleet) through(r *testReplica) (read *atomic.Int64) {
	read = new(atomic.Int64)
	pipe, rt := f.tenant.Transport(), endpoint.NewTransport(nil)
	rt.TLSClientConfig.RootCAs = pipe.TLSClientConfig.RootCAs
	rt.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := pipe.DialContext(ctx, network, addr)
		return countedConn{conn, read}, err
	}
	r.web.base = rt
	return read
}

// An answer holds a good token, and megabytes that nobody needs. It is not
// taken, and not read to its end.
func TestAnswerIsTooLarge(t *testing.T) {
	good := `{"access_token":"abc","token_type":"Bearer","expires_in":36000`
	pad := `,"pad":"` + strings.Repeat("x", 2<<20) + `"}`
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	_, _ = zip.Write([]byte(good + pad))
	_ = zip.Close()
	for _, fault := range []auth0test.Fault{
		{Name: "a field", Body: good + pad},
		{Name: "blanks after it", Body: good + "}" + strings.Repeat(" ", 2<<20)},
		{Name: "gzip", Body: bomb.String(), Header: http.Header{"Content-Encoding": {"gzip"}, "Content-Type": {"application/json"}}},
		{Name: "a header", Header: http.Header{"X-Large": {strings.Repeat("x", 1<<20)}}},
		{Name: "many headers", Header: http.Header{"X-Large": strings.Split(strings.Repeat("x", 20000), "")}},
	} {
		t.Run(fault.Name, func(t *testing.T) {
			story(t, &auth0test.Config{TTL: 10 * time.Hour}, Options{}, func(f *fleet) {
				f.tenant.Inject(3, fault)
				r := f.start(1)[0]
				read := f.through(r)
				f.insist(r, time.Minute)
				f.token(r)
				f.want(4) // three of which brought nothing
				if got := read.Load(); got > 4*(128<<10) {
					f.t.Errorf("read %d bytes for 4 answers, want 128 KiB for each at most", got)
				}
			})
		})
	}
}
