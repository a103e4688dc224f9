package redisurl_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache/redisurl"
)

func TestParse(t *testing.T) {
	tests := []struct {
		url  string
		want redis.UniversalOptions
		tls  string // the name in the certificate; "-": whatever the server is called; empty: no TLS
	}{
		{"redis://h", redis.UniversalOptions{Addrs: []string{"h:6379"}}, ""},
		{"REDIS://h:1/", redis.UniversalOptions{Addrs: []string{"h:1"}}, ""},
		{"redis://u:p@h:1/3", redis.UniversalOptions{Addrs: []string{"h:1"}, Username: "u", Password: "p", DB: 3}, ""},
		{"redis://:p%2F%40@h", redis.UniversalOptions{Addrs: []string{"h:6379"}, Password: "p/@"}, ""},
		{"redis://u:p@q@h", redis.UniversalOptions{Addrs: []string{"h:6379"}, Username: "u", Password: "p@q"}, ""},
		{"redis://[::1]:2", redis.UniversalOptions{Addrs: []string{"[::1]:2"}}, ""},
		{"redis://[::1]", redis.UniversalOptions{Addrs: []string{"[::1]:6379"}}, ""},
		{"redis://h?db=2&pool_size=9&client_name=me&protocol=2&max_retries=5&dial_timeout=2&read_timeout=3s&write_timeout=4s",
			redis.UniversalOptions{Addrs: []string{"h:6379"}, DB: 2, PoolSize: 9, ClientName: "me", Protocol: 2, MaxRetries: 5,
				DialTimeout: 2 * time.Second, ReadTimeout: 3 * time.Second, WriteTimeout: 4 * time.Second}, ""},
		{"rediss://h", redis.UniversalOptions{Addrs: []string{"h:6379"}}, "h"},
		{"rediss://1.2.3.4?tls_server_name=h", redis.UniversalOptions{Addrs: []string{"1.2.3.4:6379"}}, "h"},
		{"unix:///run/redis.sock", redis.UniversalOptions{Addrs: []string{"/run/redis.sock"}}, ""},
		{"unix://u:p@/run/redis%20x.sock?db=1", redis.UniversalOptions{Addrs: []string{"/run/redis x.sock"}, Username: "u", Password: "p", DB: 1}, ""},
		{"redis+sentinel://u:p@a,b:1/fleet/2", redis.UniversalOptions{Addrs: []string{"a:26379", "b:1"}, MasterName: "fleet", Username: "u", Password: "p", DB: 2}, ""},
		{"redis+sentinel://a/fleet?sentinel_username=su&sentinel_password=sp",
			redis.UniversalOptions{Addrs: []string{"a:26379"}, MasterName: "fleet", SentinelUsername: "su", SentinelPassword: "sp"}, ""},
		{"rediss+sentinel://a/my%20fleet", redis.UniversalOptions{Addrs: []string{"a:26379"}, MasterName: "my fleet"}, "-"},
		{"redis+cluster://:p@a:1,[::1]:2,c", redis.UniversalOptions{Addrs: []string{"a:1", "[::1]:2", "c:6379"}, Password: "p", IsClusterMode: true}, ""},
		{"rediss+cluster://a/0", redis.UniversalOptions{Addrs: []string{"a:6379"}, IsClusterMode: true}, "-"},
		{"rediss+cluster://a?tls_server_name=n", redis.UniversalOptions{Addrs: []string{"a:6379"}, IsClusterMode: true}, "n"},
	}
	for _, test := range tests {
		got, err := redisurl.Parse(test.url)
		if err != nil {
			t.Errorf("Parse(%q): %v", test.url, err)
			continue
		}
		name := ""
		if got.TLSConfig != nil {
			if name = got.TLSConfig.ServerName; name == "" {
				name = "-"
			}
		}
		if name != test.tls {
			t.Errorf("Parse(%q): got TLS name %q, want %q", test.url, name, test.tls)
		}
		if w := test.want; !slices.Equal(got.Addrs, w.Addrs) || got.DB != w.DB || got.Username != w.Username || got.Password != w.Password ||
			got.MasterName != w.MasterName || got.IsClusterMode != w.IsClusterMode ||
			got.SentinelUsername != w.SentinelUsername || got.SentinelPassword != w.SentinelPassword ||
			got.ClientName != w.ClientName || got.Protocol != w.Protocol || got.MaxRetries != w.MaxRetries || got.PoolSize != w.PoolSize ||
			got.DialTimeout != w.DialTimeout || got.ReadTimeout != w.ReadTimeout || got.WriteTimeout != w.WriteTimeout {
			t.Errorf("Parse(%q): got %+v, want %+v", test.url, *got, w)
		}
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ url, want string }{
		{"", "must begin with"},
		{"localhost:6379", "must begin with"},
		{"http://h", "must begin with"},
		{" redis://h", "a blank or a newline"},
		{"redis://h\n", "a blank or a newline"},
		{"redis://", "the host is missing"},
		{"redis://:6379", "the host is missing"},
		{"redis://a b", "the host is not one"},
		{"redis://::1", "the host is not one"},
		{"redis://h:0", "the port is not a number"},
		{"redis://h:70000", "the port is not a number"},
		{"redis://:pass", "the host is not one"},
		{"redis://:p/w@h", "an @ behind the host"},
		{"redis://:p?w@h", "an @ behind the host"},
		{"redis://:p#w@h", "an @ behind the host"},
		{"redis://:p%zz@h", "written as % and two hex digits"},
		{"redis://h/x", "not a number"},
		{"redis://h/1/2", "not a number"},
		{"redis://h/%zz", "not followed by two hex digits"},
		{"redis://h/#x", "there is a #"},
		{"redis://a,b", "write redis+cluster://"},
		{"redis://h?foo=1", "a parameter in it that is not known"},
		{"redis://h?read_only=true", "a parameter in it that is not known"},
		{"redis://h?skip_verify=true", "skip_verify would let anybody pose"},
		{"redis://h?pool_size=99999999999", "a value that makes no sense"},
		{"redis://h?pool_size=x", "a value that makes no sense"},
		{"redis://h?protocol=7", "a value that makes no sense"},
		{"redis://h?db=-1", "a value that makes no sense"},
		{"redis://h?%zz", "the parameters have a character"},
		{"redis://h?tls_server_name=x", "of no use without TLS"},
		{"redis://h?sentinel_password=x", "not known"},
		{"unix://h/run/x", "three slashes"},
		{"unix://", "the path of the socket is missing"},
		{"unix:///", "the path of the socket is missing"},
		{"redis+sentinel://h", "the name of the master is missing"},
		{"redis+sentinel://h/m/x", "not a number"},
		{"redis+sentinel://h,/m", "host 2: the host is missing"},
		{"redis+sentinel://h/m?db=1", "not known"},
		{"redis+cluster://h/1", "a Cluster has no databases"},
		{"redis+cluster://a:x,b", "host 1: the host is not one"},
	}
	for _, test := range tests {
		opts, err := redisurl.Parse(test.url)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Parse(%q): got %+v, %v, want an error with %q", test.url, opts, err, test.want)
		}
	}
}

func TestHasSecret(t *testing.T) {
	tests := []struct {
		url  string
		want bool
	}{
		{"redis://h", false},
		{"redis://user@h", false},
		{"redis://user:pass@h", true},
		{"redis+sentinel://h/m?sentinel_password=p", true},
		{"redis://:pa/ss@h", true},
		{"h?password=x", true},
		{"h:6379", false},
	}
	for _, test := range tests {
		if got := redisurl.HasSecret(test.url); got != test.want {
			t.Errorf("HasSecret(%q): got %v, want %v", test.url, got, test.want)
		}
	}
}

// Wherever a password was put, and whatever is around it: no error shows it, and
// what is accepted can be used.
func FuzzParse(f *testing.F) {
	const password = "Xq7Zpassword"
	for _, seed := range [][2]string{
		{"redis://:", "@h/0"}, {"redis://", ""}, {"redis://h?", "=1"}, {"redis://h/", ""}, {"redis+sentinel://h/", "/0"},
		{"rediss+cluster://a,", ":6379"}, {"unix://u:", "@/x"}, {"redis://h?client_name=", "%zz"}, {"", "://h"}, {"redis://:", "/@h"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		raw := before + password + after
		secret := redisurl.HasSecret(raw)
		opts, err := redisurl.Parse(raw)
		if err != nil {
			if strings.Contains(err.Error(), password) {
				t.Errorf("Parse(%q): the error shows the password: %v", raw, err)
			}
			return
		}
		if secret != (opts.Password != "" || opts.SentinelPassword != "") {
			t.Errorf("HasSecret(%q): got %v with password %q", raw, secret, opts.Password)
		}
		if len(opts.Addrs) == 0 || slices.Contains(opts.Addrs, "") || opts.DB < 0 {
			t.Errorf("Parse(%q): got %+v", raw, *opts)
		}
		client := redis.NewUniversalClient(opts) // panics if the options make no sense
		_ = client.Close()
	})
}
