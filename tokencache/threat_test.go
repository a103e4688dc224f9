package tokencache

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/e2e/canary"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// A threat is one thing that somebody may try. Each has a number, so that
//
//	go test ./... -run 'Threat/S05'
//
// runs what is told of one, in whichever package that is.
type threat struct {
	number int
	name   string
	story  func(t *testing.T)
}

// TestThreat tells what comes of each threat.
func TestThreat(t *testing.T) {
	for _, th := range threats {
		t.Run(fmt.Sprintf("S%02d %s", th.number, th.name), th.story)
	}
}

// threats are all that were thought of. Those that are not told here say where
// they are, or why nowhere.
var threats = []threat{
	{1, "a redirect of the token request", func(t *testing.T) {
		t.Run("sends nothing anywhere", redirectsAreNotFollowed)
		t.Run("is an error of the endpoint", redirectsAreErrors)
	}},
	{2, "a URL that only looks safe", func(t *testing.T) {
		t.Run("of the token endpoint", plainTokenURLs)
		t.Run("of the API", plainAPIs)
		t.Run("and the body of what is refused is closed", refusedBodies)
	}},
	{3, "a secret in what is printed", func(t *testing.T) {
		t.Run("of every type", everyTypeIsPrinted)
		t.Run("in a bad week", secretsInABadWeek)
		t.Run("by a server that repeats it", secretsAreEchoed)
		t.Run("by a Redis that repeats it", passwordIsEchoed)
	}},
	{4, "a token at rest in Redis", notHere("P6 of every simulation here; TestThreat/S04 in e2e, on a real one with its image and its monitor")},
	{5, "a nonce used twice", notHere("TestThreat/S05 in internal/store")},
	{6, "a key that is tried out", notHere("TestThreat/S06 in internal/store")},
	{7, "a field of a record swapped for another's", swappedFields},
	{8, "a writer of Redis", notHere("TestFault/64 to TestFault/71; TestThreat/S08 in quota")},
	{9, "a replica that encrypts what cannot be", notHere("TestThreat/S09 in internal/store")},
	{10, "an account of Redis that may do more than it needs", notHere("TestThreat/S10 in e2e tries what the account that ships may not do, and TestFault there runs fleets under it")},
	{11, "a hole in the Lua of an old Redis", notHere("it is for whoever runs Redis to keep it up to date: EVAL cannot be done without")},
	{12, "a Redis without TLS on another host", notHere("the application brings its own Redis client; the command warns: TestThreat/S12 in cmd/fleettoken")},
	{13, "DNS rebinding", notHere("nothing here serves a token over HTTP")},
	{14, "a browser that is made to ask", notHere("nothing here serves a token over HTTP")},
	{15, "a server that is made to ask", notHere("nothing here serves a token over HTTP")},
	{16, "other users of the machine", notHere("there is no socket; for files and command lines see S29")},
	{17, "a token that goes to the wrong host", redirectsOfTheAPI},
	{18, "a header that strips the token", notHere("there is no proxy: Transport sets the header on a copy of the request that is sent")},
	{19, "smuggled requests", notHere("there is no proxy")},
	{20, "slow clients", notHere("nothing here serves but the emulator, whose tokens are worth nothing")},
	{21, "a header injected by a token", notHere("TestThreat/S21 in internal/store and internal/endpoint")},
	{22, "tricks with the path", notHere("there is no proxy: an application chooses its own paths")},
	{23, "an API that sends the token back", tokenIsEchoed},
	{24, "a client assertion for another audience", notHere("clients authenticate with a secret only")},
	{25, "a secret that breaks its encoding", hostileSecrets},
	{26, "a client secret where a key pair could be", notHere("clients authenticate with a secret only; that no token lies in Redis in clear is S04")},
	{27, "one token for all", notHere("that is what this is for; doc.go says what it means")},
	{28, "a secret in the memory of the process", secretsInMemory},
	{29, "a secret on a command line or in a file", notHere("TestThreat/S29 in cmd/fleettoken and in e2e")},
	{30, "what others have built in", notHere("go mod verify in .ci/run; govulncheck and .ci/reproducible in the workflow")},
	{31, "an API that refuses everything, to fill the logs", logsOfAStorm},
}

// A trap is a server that nobody should come to.
type trap struct {
	net.Listener
	mu      sync.Mutex
	visits  int
	visited chan struct{}
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr := &trap{Listener: l, visited: make(chan struct{})}
	go func() {
		defer close(tr.visited)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			tr.mu.Lock()
			tr.visits++
			tr.mu.Unlock()
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return tr
}

// close closes the trap, and returns how many have come.
func (tr *trap) close() int {
	_ = tr.Listener.Close()
	<-tr.visited
	return tr.visits
}

// A redirect is never followed, whatever its status and wherever it leads, so the
// secret goes to one place only.
func redirectsAreNotFollowed(t *testing.T) {
	trap := newTrap(t)
	address := trap.Addr().String()
	status, target := 0, ""
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", target)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"access_token":"theirs","expires_in":3600,"token_type":"Bearer"}`)
	}))
	defer server.Close()
	roots := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	_, port, _ := net.SplitHostPort(address)
	for _, status = range []int{301, 302, 303, 307, 308} {
		for _, target = range []string{"https://" + address + "/oauth/token", "http://" + address + "/", "//" + address, "https://localhost:" + port + "/"} {
			for _, encoding := range []Encoding{JSON, Form, FormBasic} {
				cred := Credentials{TokenURL: server.URL, ClientID: "id", ClientSecret: canary.New(), Encoding: encoding}
				a := cred.request().Send(t.Context(), endpoint.NewTransport(roots))
				if v := endpoint.Classify(a, endpoint.Scopes{}); v.Class != endpoint.ClassEndpoint || a.Status != status || v.Token.AccessToken != "" {
					t.Errorf("%d to %s, encoding %d: got %s, %d, %v", status, target, encoding, v.Class, a.Status, a.Err)
				}
			}
		}
	}
	if n := trap.close(); n != 0 {
		t.Errorf("%d requests were redirected", n)
	}
}

// The fleet is told what it is, and asks once.
func redirectsAreErrors(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		// A caller waits for less than the half minute for which the failure blocks.
		story(t, nil, Options{MaxWait: 10 * time.Second}, func(f *fleet) {
			f.tenant.Inject(1, auth0test.Redirect(status, "https://evil.test/oauth/token"))
			_, err := f.start(1)[0].source.Token(f.t.Context())
			failed, ok := errors.AsType[*RequestError](err)
			if !ok || failed.Class != ClassEndpoint || failed.Status != status {
				f.t.Errorf("status %d: got %v", status, err)
			}
			f.want(1)
		})
	}
}

// plainURLs are URLs without TLS. Those that lead to this machine, and nowhere
// else, may be used if that is asked for. A name can lead anywhere.
var plainURLs = []struct {
	url   string
	local bool
}{
	{"http://127.0.0.1/", true},
	{"http://127.0.0.1:8080/a", true},
	{"http://127.255.255.254/", true},
	{"http://[::1]/", true},
	{"http://[::1]:8080/a", true},
	{"http://[::ffff:127.0.0.1]/", true},
	{"HTTP://127.0.0.1/", true},
	{"http://api.test/a", false},
	{"http://localhost/", false},
	{"http://localhost.evil.test/", false},
	{"http://127.0.0.1.evil.test/", false},
	{"http://127.0.0.1.nip.io/a", false},
	{"http://127.0.0.1./", false},
	{"http://127.1/", false},
	{"http://0177.0.0.1/", false},
	{"http://0x7f000001/", false},
	{"http://2130706433/", false},
	{"http://0/", false},
	{"http://0.0.0.0/", false},
	{"http://[::]/", false},
	{"http://[::ffff:10.0.0.1]/", false},
	{"http://[::127.0.0.1]/", false},
	{"http://[fe80::1]/", false},
	{"http://10.0.0.1/", false},
	{"http://169.254.169.254/", false},
	{"http://127.0.0.1:80@evil.test/", false},
	{"http://127.0.0.1%40evil.test/", false},
	{"http://[::1]@evil.test/", false},
	{"http://evil.test/?127.0.0.1", false},
	{"http://evil.test#127.0.0.1", false},
	{"http://evil.test\\@127.0.0.1/", false},
	{"http://①②⑦.⓪.⓪.①/", false},
	{"http://127。0。0。1/", false},
	{"http:127.0.0.1/", false},
	{"http:///127.0.0.1/", false},
	{"//127.0.0.1/", false},
	{"127.0.0.1/", false},
	{"ws://127.0.0.1/", false},
	{"httpx://127.0.0.1/", false},
}

func plainTokenURLs(t *testing.T) {
	for _, row := range plainURLs {
		for _, asked := range []bool{false, true} {
			cred := Credentials{TokenURL: row.url, ClientID: "id", ClientSecret: "secret"}
			if err := cred.validate(asked); (err == nil) != (asked && row.local) {
				t.Errorf("%s, asked for: %v: got %v, want it to pass: %v", row.url, asked, err, asked && row.local)
			}
		}
	}
	for _, odd := range []string{"http://127.0.0.1/#x", "http://user:password@127.0.0.1/", "https:///x", "https:tenant.test", "https://u:p@tenant.test/"} {
		if err := (Credentials{TokenURL: odd, ClientID: "id", ClientSecret: "secret"}).validate(true); err == nil {
			t.Errorf("%s passes", odd)
		}
	}
}

func plainAPIs(t *testing.T) {
	for _, asked := range []bool{false, true} {
		story(t, nil, Options{InsecureLoopback: asked}, func(f *fleet) {
			base := &recorder{}
			rt := f.start(1)[0].source.Transport(base)
			for _, row := range plainURLs {
				u, err := url.Parse(row.url)
				if err != nil {
					continue // nobody can ask for it
				}
				base.seen = nil
				req := (&http.Request{Method: "GET", URL: u, Header: http.Header{}}).WithContext(f.t.Context())
				if _, err := rt.RoundTrip(req); (err == nil) != (asked && row.local) || err != nil && !strings.Contains(err.Error(), "over https only") {
					f.t.Errorf("%s, asked for: %v: got %v, want it to pass: %v", row.url, asked, err, asked && row.local)
				}
				if sent := len(base.seen) > 0; sent != (asked && row.local) {
					f.t.Errorf("%s, asked for: %v: the request was sent: %v", row.url, asked, sent)
				}
			}
		})
	}
}

// RoundTrip closes the body also when it fails, and changes nothing of the
// request.
func refusedBodies(t *testing.T) {
	for _, url := range []string{"http://api.test/a", "http://127.0.0.1:8080/a"} {
		story(t, nil, Options{InsecureLoopback: true}, func(f *fleet) {
			body := &closingBody{Reader: strings.NewReader("x")}
			req, err := http.NewRequestWithContext(f.t.Context(), "POST", url, body)
			if err != nil {
				f.t.Fatal(err)
			}
			req.Header.Set("X-Mine", "1")
			_, _ = f.start(1)[0].source.Transport(&recorder{}).RoundTrip(req)
			if !body.closed.Load() {
				f.t.Errorf("%s: the body was not closed", url)
			}
			if len(req.Header) != 1 {
				f.t.Errorf("%s: the request was changed: %v", url, req.Header)
			}
		})
	}
}

// secretsInABadWeek lets many things go wrong for a fleet that has encryption keys of
// its own, and an endpoint that sends back what it got. P6 is what it is held
// against.
func secretsInABadWeek(t *testing.T) {
	long(t)
	key := []byte(canary.New())[:store.EncryptionKeySize]
	story(t, &auth0test.Config{TTL: time.Hour, PerHour: 42, PerDay: 100}, Options{EncryptionKeys: [][]byte{key}, RedisDownBudget: &RedisDownBudget{}}, func(f *fleet) {
		var traced bytes.Buffer
		var mu sync.Mutex
		note := func(v any) {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(&traced, "%v %+v %#v\n", v, v, v)
			_ = json.NewEncoder(&traced).Encode(v)
		}
		f.opts.Hooks = &Hooks{
			Requested: func(i RequestedInfo) { note(i) }, Adopted: func(i AdoptedInfo) { note(i) },
			Denied: func(i DeniedInfo) { note(i) }, Redis: func(i RedisInfo) { note(i) },
		}
		var tr *simulation
		f.try(size(5, 2), time.Minute, func(running *simulation) {
			tr = running
			tr.cost(1000, 1000)                                    // this is not about the quota
			tr.losses += 1000                                      // nor about blocks
			echo := func(w http.ResponseWriter, r *http.Request) { // with everything that came
				body, _ := io.ReadAll(r.Body)
				w.Header().Set("X-Body", string(body))
				w.Header().Set("Retry-After", string(body))
				w.Header().Set("Auth0-Client-Quota-Limit", "b="+f.secret+";q=1")
				w.WriteHeader(http.StatusBadRequest)
				_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_request", "error_description": string(body)})
			}
			for _, fault := range []auth0test.Fault{
				{Name: "echo", Handler: echo}, auth0test.Hang(), auth0test.LostAnswer(), auth0test.Status(503), auth0test.QuotaExceeded(time.Minute),
				auth0test.Field("expires_in", "0"), {Name: "cut", CutBody: true}, {Name: "echo", Status: 401, Body: `{"error":"access_denied","error_description":` + strconv.Quote(f.secret) + `}`},
			} {
				f.tenant.Inject(1, fault)
				m := tr.all()[0]
				if err := m.source.Rotate(tr.ctx); err != nil {
					fmt.Fprintf(tr, "%v %+v %#v\n", err, err, err)
				}
				time.Sleep(10 * time.Minute)
			}
			for _, m := range tr.all() {
				m.net.cut()
			}
			f.m.SetError("NOAUTH Authentication required.")
			time.Sleep(2 * time.Hour)
			for _, m := range tr.all() {
				m.net.mend()
			}
			time.Sleep(time.Minute)
			f.m.SetError("")
			for _, m := range tr.all() {
				if h := m.source.held.Load(); h != nil {
					_ = m.source.Invalidate(tr.ctx, h.token)
				}
			}
			time.Sleep(time.Hour)
			status, err := tr.all()[0].source.Status(tr.ctx)
			if err != nil || len(status.Journal) < 5 {
				f.t.Fatalf("got %d entries of the journal, %v", len(status.Journal), err)
			}
			note(status)
			time.Sleep(24 * time.Hour) // until every refusal is over
		})
		if len(f.tenant.Tokens()) < 3 || traced.Len() < 10000 || tr.printed.Len() < 10000 {
			f.t.Errorf("got %d tokens, %d bytes of traces and %d of logs: too little to prove anything", len(f.tenant.Tokens()), traced.Len(), tr.printed.Len())
		}
		canary.Check(f.t, "what hooks were told", canary.In(traced.Bytes()), f.secrets()...)
	})
}

// A server sends back what it got, where something else should be. net/http shows
// that in its errors, quoted once more, and a header or an error code would go
// into errors and the journal.
func secretsAreEchoed(t *testing.T) {
	for name, answer := range map[string]string{
		"a status line":   "%[1]s",
		"a status":        "HTTP/1.1 2%[1]s",
		"a header line":   "HTTP/1.1 502 Bad Gateway\r\n%[1]s\r\n\r\n",
		"a header":        "HTTP/1.1 429 Too\r\nRetry-After: %[2]s\r\nAuth0-Client-Quota-Limit: b=%[2]s;q=1\r\nContent-Length: 0\r\n\r\n",
		"an error code":   "HTTP/1.1 400 Bad\r\nConnection: close\r\n\r\n{\"error\":\"%[2]s\"}",
		"its length":      "HTTP/1.1 200 OK\r\nContent-Length: %[1]s\r\n\r\n",
		"its encoding":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: %[1]s\r\n\r\n",
		"a chunk":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%[1]s\r\n",
		"a token":         "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"access_token\":\"%[2]s \",\"expires_in\":1}",
		"a type of token": "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"access_token\":\"t\",\"token_type\":\"%[2]s\",\"expires_in\":1}",
		"a redirect":      "HTTP/1.1 307 Go\r\nLocation: https://evil.test/?%[1]s\r\nContent-Length: 0\r\n\r\n",
	} {
		for _, secret := range []string{canary.Plain(), canary.New(), `quotes"and\backslashes`, "<html>&amp;", "reads_like_a_code"} {
			for _, encoding := range []Encoding{JSON, Form, FormBasic} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					req, err := http.ReadRequest(bufio.NewReader(conn))
					if err != nil {
						return
					}
					body, _ := io.ReadAll(req.Body)
					fmt.Fprintf(conn, answer, append(body, req.Header.Get("Authorization")...), secret)
				}()
				cred := Credentials{TokenURL: "http://" + l.Addr().String(), ClientID: "id", ClientSecret: secret, Audience: "api", Encoding: encoding}
				s := &source{cred: cred, request: cred.request()}
				a := s.request.Send(t.Context(), endpoint.NewTransport(nil))
				v := s.judge(a)
				failed := newRequestError(a, v, time.Time{})
				shown := fmt.Sprintf("%v %+v %#v %#v %v %q", failed, failed, failed, failed.header, failed.Unwrap(), request{answer: a, verdict: v}.status())
				if a.Took == 0 || v.Class == "" && name != "a type of token" { // which is as good as Bearer
					t.Errorf("%s: got %+v", name, a)
				}
				canary.Check(t, name, canary.In(shown), canary.Of("client secret", secret))
				_ = l.Close()
			}
		}
	}
}

// A Redis that does not know AUTH repeats what came with it.
func passwordIsEchoed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	password := canary.New()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for r := bufio.NewReader(conn); ; {
					var n, size int
					if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
						return
					}
					args := make([]string, n)
					for i := range args {
						_, _ = fmt.Fscanf(r, "$%d\r\n", &size)
						arg := make([]byte, size+2)
						_, _ = io.ReadFull(r, arg)
						args[i] = string(arg[:size])
					}
					fmt.Fprintf(conn, "-ERR unknown command '%s', with args beginning with: '%s' \r\n", args[0], strings.Join(args[1:], "' '"))
				}
			}()
		}
	}()
	rdb := NewRedisClient(&redis.UniversalOptions{Addrs: []string{l.Addr().String()}, Password: password})
	defer rdb.Close()
	var logs bytes.Buffer
	cache, err := New(rdb, &Options{Logger: slog.New(slog.NewTextHandler(&lockedWriter{w: &logs}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s, err := cache.Source(Credentials{TokenURL: "https://tenant.test/oauth/token", ClientID: "id", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Token(t.Context())
	_, err2 := s.Status(t.Context())
	_ = cache.Close()
	known, ok := errors.AsType[*RedisError](err)
	if !ok || known.Kind != RedisConfiguration || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("got %v, want that the command is not known", err)
	}
	shown := fmt.Sprintf("%v %+v %v %v %#v %v", err, err, err2, known, known, known.Err)
	canary.Check(t, "an error", canary.In(shown), canary.Of("password", password))
	canary.Check(t, "the log", canary.In(logs.Bytes()), canary.Of("password", password))
}

// A record is worth nothing elsewhere: under another key, with another moment of
// issue or expiry, or in clear.
func swappedFields(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	cache, err := New(rdb, &Options{EncryptionKeys: [][]byte{bytes.Repeat([]byte{1}, store.EncryptionKeySize)}}) // the same for all
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	type place struct {
		key, issued, expires string
		sealed               []byte
	}
	now := time.Now().UnixMilli()
	base := Credentials{TokenURL: "https://tenant.test/oauth/token", ClientID: "id", ClientSecret: "secret", Audience: "a", Organization: "o", Scopes: []string{"s"}}
	sources := make(map[string]*Source)
	for name, change := range map[string]func(*Credentials){
		"base":                 func(*Credentials) {},
		"another tenant":       func(c *Credentials) { c.TokenURL = "https://other.test/oauth/token" },
		"another client":       func(c *Credentials) { c.ClientID = "other" },
		"another audience":     func(c *Credentials) { c.Audience = "b" },
		"another organization": func(c *Credentials) { c.Organization = "p" },
		"another scope":        func(c *Credentials) { c.Scopes = []string{"t"} },
		"another parameter":    func(c *Credentials) { c.Params = url.Values{"x": {"1"}} },
	} {
		cred := base
		change(&cred)
		s, err := cache.Source(cred)
		if err != nil {
			t.Fatal(err)
		}
		sources[name] = s
	}
	put := func(s *Source, issued, expires int64) place {
		sealed, err := s.token.Seal(storeRecord(testRecord(issued, expires)))
		if err != nil {
			t.Fatal(err)
		}
		return place{s.token.Key(), fmt.Sprint(issued), fmt.Sprint(expires), sealed}
	}
	for name, other := range sources {
		s := sources["base"]
		mine, theirs := put(s, now, now+3600000), put(other, now+1, now+3600001)
		read := func(p place) store.TokenSnapshot { return s.token.Open(p.issued, p.expires, p.sealed, now+2, 0) }
		if v := read(mine); v.Record == nil {
			t.Fatalf("%s: the record where it belongs: %v", name, v.Problem)
		}
		clear := []byte(`{"token":"t","type":"Bearer","ttl":3600000,"by":"r"}`)
		for what, p := range map[string]place{
			"the sealed part of another": {mine.key, mine.issued, mine.expires, theirs.sealed},
			"another moment of issue":    {mine.key, theirs.issued, mine.expires, mine.sealed},
			"another expiry":             {mine.key, mine.issued, theirs.expires, mine.sealed},
			"both moments":               {mine.key, theirs.issued, theirs.expires, mine.sealed},
			"one for the other":          {mine.key, mine.expires, mine.issued, mine.sealed},
			"no issue":                   {mine.key, "", mine.expires, mine.sealed},
			"in clear":                   {mine.key, mine.issued, mine.expires, clear},
			"in clear behind the header": {mine.key, mine.issued, mine.expires, append(bytes.Clone(mine.sealed[:9]), clear...)},
			"another version":            {mine.key, mine.issued, mine.expires, append([]byte{0}, mine.sealed[1:]...)},
		} {
			if v := read(p); v.Record != nil || !errors.Is(v.Problem, store.ErrDamaged) {
				t.Errorf("%s, %s: got %v, %v, want damage", name, what, v.Record != nil, v.Problem)
			}
		}
		if other != s {
			if v := read(theirs); v.Record != nil {
				t.Errorf("%s: the whole record of another is taken", name)
			}
		}
	}
}

// A token goes where the first request of a chain went, and nowhere else.
func redirectsOfTheAPI(t *testing.T) {
	for _, row := range []struct {
		name string
		hops []string
		with []bool
	}{
		{"the same host", []string{"https://api.test/a", "https://api.test/b"}, []bool{true, true}},
		{"the same host, its port named", []string{"https://api.test/a", "https://API.test:443/b"}, []bool{true, true}},
		{"another host", []string{"https://api.test/a", "https://evil.test/b"}, []bool{true, false}},
		{"another port", []string{"https://api.test/a", "https://api.test:8443/b"}, []bool{true, false}},
		{"a subdomain", []string{"https://api.test/a", "https://x.api.test/b"}, []bool{true, false}},
		{"in clear", []string{"https://api.test/a", "http://api.test/b"}, []bool{true, false}},
		{"away and back", []string{"https://api.test/a", "https://evil.test/b", "https://api.test/c"}, []bool{true, false, false}},
	} {
		t.Run(row.name, func(t *testing.T) {
			story(t, nil, Options{}, func(f *fleet) {
				base := &recorder{answers: make(map[string]*http.Response)}
				for i := range row.hops[1:] {
					base.answers[row.hops[i]] = redirect(row.hops[i+1])
				}
				client := &http.Client{Transport: f.start(1)[0].source.Transport(base)}
				resp, err := client.Get(row.hops[0])
				if err != nil {
					f.t.Fatal(err)
				}
				resp.Body.Close()
				if len(base.seen) != len(row.hops) {
					f.t.Fatalf("got %d requests, want %d", len(base.seen), len(row.hops))
				}
				for i, req := range base.seen {
					if got := req.Header.Get("Authorization") != ""; got != row.with[i] {
						f.t.Errorf("%s: with the token: %v, want %v", req.URL, got, row.with[i])
					}
				}
			})
		})
	}
}

// The API sends back what it got. Nothing of it goes anywhere but to the caller.
func tokenIsEchoed(t *testing.T) {
	story(t, &auth0test.Config{TTL: 10 * time.Hour, PerHour: 42, PerDay: 100}, Options{}, func(f *fleet) {
		f.try(1, time.Minute, func(tr *simulation) {
			tr.cost(10, 0)
			m := tr.all()[0]
			echo := tripper(func(req *http.Request) (*http.Response, error) {
				said := req.Header.Get("Authorization")
				return &http.Response{
					StatusCode: http.StatusUnauthorized, Status: "401 " + said, Request: req,
					Header: http.Header{"Www-Authenticate": {said}}, Body: io.NopCloser(strings.NewReader(said)),
				}, nil
			})
			client := &http.Client{Transport: m.source.Transport(echo)}
			for range 10 {
				resp, err := client.Get("https://api.test/")
				if err != nil {
					f.t.Fatal(err)
				}
				_ = resp.Body.Close()
				time.Sleep(time.Minute)
			}
			if len(f.tenant.Tokens()) < 2 {
				f.t.Error("the refused token was not replaced")
			}
		})
	})
}

// Whatever is in the id and the secret, the server reads what was meant, in every
// encoding.
func hostileSecrets(t *testing.T) {
	for _, secret := range []string{`s %+&=:"\é`, "a:b:c", "100%", "a+b", "a&client_id=evil", "a%00b", "%zz", `"},{"`, "=", "a;b", "ü\u202ex", "\U0001f511", "a\tb", "<&>", canary.New()} {
		for _, encoding := range []Encoding{JSON, Form, FormBasic} {
			cfg := &auth0test.Config{ClientID: "id:%+&" + secret, ClientSecret: secret}
			story(t, cfg, Options{}, func(f *fleet) {
				cred := f.credentials()
				cred.ClientID, cred.Encoding = cfg.ClientID, encoding
				s, err := f.start(1)[0].cache.Source(cred)
				if err != nil {
					f.t.Fatal(err)
				}
				if _, err := s.Token(f.t.Context()); err != nil {
					f.t.Errorf("secret %q, encoding %d: %v", secret, encoding, err)
				}
				f.want(1)
			})
		}
	}
}

// A client secret is needed for each token request, so it stays in memory, as a
// string, which nobody can wipe; a core dump shows it, and so it does the token.
// What is not needed any more is not kept: the encryption keys as they were given.
func secretsInMemory(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	given := [][]byte{[]byte(canary.New())[:store.EncryptionKeySize]}
	cache, err := New(rdb, &Options{EncryptionKeys: given})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	if cache.opts.EncryptionKeys != nil {
		t.Error("the cache keeps its encryption keys")
	}
	token := store.NewToken(store.NamesFor("p", "u", "c"), "id", cache.ring)
	sealed, err := token.Seal(storeRecord(testRecord(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	clear(given[0]) // whoever gave them may wipe them
	if v := token.Open("1", "2", sealed, 1, 0); v.Record == nil {
		t.Errorf("after the given key was wiped: %v", v.Problem)
	}
}

// An API refuses every token, and is called a thousand times a second by each
// replica: that is told now and then.
func logsOfAStorm(t *testing.T) {
	var logs, hooks counting
	opts := Options{
		Logger: slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Hooks: &Hooks{
			Requested: func(RequestedInfo) { _, _ = hooks.Write(nil) }, Adopted: func(AdoptedInfo) { _, _ = hooks.Write(nil) },
			Denied: func(DeniedInfo) { _, _ = hooks.Write(nil) }, Redis: func(RedisInfo) { _, _ = hooks.Write(nil) },
		},
	}
	story(t, &auth0test.Config{PerHour: 42, PerDay: 100}, opts, func(f *fleet) {
		const replicas, calls = 3, 20000
		f.start(replicas)
		refuses := tripper(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusUnauthorized, Body: http.NoBody, Request: req}, nil
		})
		var wg sync.WaitGroup
		for _, r := range f.replicas {
			client := &http.Client{Transport: r.source.Transport(refuses)}
			wg.Go(func() {
				for range calls {
					if resp, err := client.Get("https://api.test/"); err != nil || resp.StatusCode != http.StatusUnauthorized {
						f.t.Errorf("got %v, %v, want the API's own answer", resp, err)
						return
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if most := 20 * replicas; logs.n == 0 || logs.n > most || hooks.n > most {
			f.t.Errorf("%d refusals in twenty seconds were told in %d lines and %d calls of hooks, want %d at most", replicas*calls, logs.n, hooks.n, most)
		}
		t.Logf("%d refusals, %d lines, %d calls of hooks", replicas*calls, logs.n, hooks.n)
	})
}

// A counting writer counts what is written to it.
type counting struct {
	mu sync.Mutex
	n  int
}

func (c *counting) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return len(p), nil
}
