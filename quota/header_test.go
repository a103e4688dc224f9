package quota

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func bucket(name string, q, r, t int64) Limit {
	return Limit{Bucket: name, Quota: q, Remaining: r, HasRemaining: true, Reset: time.Duration(t) * time.Second, HasReset: true}
}

func (l Limit) noRemaining() Limit { l.Remaining, l.HasRemaining = 0, false; return l }
func (l Limit) noReset() Limit     { l.Reset, l.HasReset = 0, false; return l }

// TestParseLimits has a row for every form that was seen in the wild and every
// way in which the parsers of five official SDKs differ.
func TestParseLimits(t *testing.T) {
	both := Limits{bucket(PerHour, 10, 9, 774), bucket(PerDay, 50, 47, 22374)}
	hour := both[:1]
	for _, row := range []struct {
		name  string
		field string
		want  Limits
		flaws int
	}{
		{"documented", "b=per_hour;q=10;r=9;t=774,b=per_day;q=50;r=47;t=22374", both, 0},
		{"the provider's sample", "b=per_hour;q=42;r=42;t=3600,b=per_day;q=100;r=100;t=86400", Limits{bucket(PerHour, 42, 42, 3600), bucket(PerDay, 100, 100, 86400)}, 0},
		{"bare names, as SDK tests have them", "per_hour;q=10;r=9;t=774,per_day;q=50;r=47;t=22374", both, 0},
		{"space after the comma", "b=per_hour;q=10;r=9;t=774, b=per_day;q=50;r=47;t=22374", both, 0},
		{"space after the semicolons", "b=per_hour; q=10; r=9; t=774", hour, 0},
		{"tabs and spaces everywhere", " b=per_hour\t;\tq=10 ; r=9;t=774 ", hour, 0},
		{"name last", "q=10;r=9;t=774;b=per_hour", hour, 0},
		{"name in the middle", "q=10;b=per_hour;r=9;t=774", hour, 0},
		{"no t", "b=per_hour;q=10;r=9", Limits{hour[0].noReset()}, 0},
		{"no r is not r=0", "b=per_hour;q=10;t=774", Limits{hour[0].noRemaining()}, 0},
		{"q is no number", "b=per_hour;q=abc;r=9;t=774,b=per_day;q=50;r=47;t=22374", both[1:], 1},
		{"no q", "b=per_hour;r=9;t=774", nil, 1},
		{"overrun", "b=per_hour;q=10;r=-1;t=774", Limits{bucket(PerHour, 10, -1, 774)}, 0},
		{"more left than there is", "b=per_hour;q=10;r=12;t=774", Limits{bucket(PerHour, 10, 10, 774)}, 1},
		{"twelve digits", "b=per_hour;q=999999999999;r=9;t=774", Limits{bucket(PerHour, 999999999999, 9, 774)}, 0},
		{"nineteen digits", "b=per_hour;q=9999999999999999999;r=9;t=774", nil, 1},
		{"a fraction of t is rounded up", "b=per_hour;q=10;r=9;t=77.5", Limits{bucket(PerHour, 10, 9, 78)}, 0},
		{"a whole fraction is not", "b=per_hour;q=10;r=9;t=77.0", Limits{bucket(PerHour, 10, 9, 77)}, 0},
		{"a fraction of r", "b=per_hour;q=10;r=9.5;t=774", nil, 1},
		{"negative t", "b=per_hour;q=10;r=9;t=-1", nil, 1},
		{"negative q", "b=per_hour;q=-10;r=9;t=774", nil, 1},
		{"unknown bucket", "b=per_minute;q=5;r=0;t=30", Limits{bucket("per_minute", 5, 0, 30)}, 0},
		{"unknown bucket beside a known one", "b=per_day;q=50;r=47;t=22374,b=per_minute;q=5;r=0;t=30", Limits{both[1], bucket("per_minute", 5, 0, 30)}, 0},
		{"one bucket twice: the worse of each", "b=per_hour;q=10;r=9;t=774,b=per_hour;q=10;r=3;t=700", Limits{bucket(PerHour, 10, 3, 774)}, 1},
		{"quoted name", `b="per_hour";q=10;r=9;t=774`, hour, 0},
		{"quoted bare name", `"per_hour";q=10;r=9;t=774`, hour, 0},
		{"half a quote", `b="per_hour;q=10;r=9;t=774`, nil, 1},
		{"empty quotes", `b="";q=10;r=9;t=774`, nil, 1},
		{"upper case", "B=PER_HOUR;Q=10;R=9;T=774", hour, 0},
		{"further parameter", "b=per_hour;q=10;r=9;t=774;x=extra", hour, 0},
		{"trailing comma", "b=per_hour;q=10;r=9;t=774,", hour, 0},
		{"empty elements", ",,b=per_hour;q=10;r=9;t=774,,", hour, 0},
		{"t=0", "b=per_hour;q=10;r=9;t=0", Limits{bucket(PerHour, 10, 9, 0)}, 0},
		{"t a little over the bucket's length", "b=per_hour;q=10;r=9;t=3605", Limits{bucket(PerHour, 10, 9, 3605)}, 0},
		{"t far over the bucket's length", "b=per_hour;q=10;r=9;t=3606", Limits{hour[0].noReset()}, 1},
		{"t beyond any duration", "b=per_minute;q=10;r=9;t=99999999999", nil, 1},
		{"parameter twice", "b=per_hour;q=10;q=11;r=9;t=774", nil, 1},
		{"name twice", "b=per_hour;b=per_day;q=10;r=9;t=774", nil, 1},
		{"bare name and b", "per_hour;b=per_hour;q=10;r=9;t=774", nil, 1},
		{"empty parameter", "b=per_hour;;q=10;r=9;t=774", nil, 1},
		{"trailing semicolon", "b=per_hour;q=10;r=9;t=774;", nil, 1},
		{"no equals sign", "b=per_hour;q10;r=9;t=774", nil, 1},
		{"no key", "=per_hour;q=10;r=9;t=774", nil, 1},
		{"no name", "b=;q=10;r=9;t=774", nil, 1},
		{"equals sign in the name", "b=per=hour;q=10;r=9;t=774", nil, 1},
		{"space in a number", "b=per_hour;q=1 0;r=9;t=774", nil, 1},
		{"plus sign", "b=per_hour;q=+10;r=9;t=774", nil, 1},
		{"two minus signs", "b=per_hour;q=10;r=--9;t=774", nil, 1},
		{"words", "invalid_format", nil, 1},
		{"empty", "", nil, 0},
		{"only blanks", " \t", nil, 0},
		{"four kibibytes and one", "b=per_hour;q=10;r=9;t=774;x=" + strings.Repeat("x", 4096), nil, 1},
		{"seventeen buckets", seventeen(), nil, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, flaws := ParseLimits(row.field)
			if !reflect.DeepEqual(got, row.want) || flaws != row.flaws {
				t.Errorf("ParseLimits(%q):\ngot  %v, %d flaws\nwant %v, %d flaws", row.field, got, flaws, row.want, row.flaws)
			}
			if again, _ := ParseLimits(got.String()); !reflect.DeepEqual(again, got) {
				t.Errorf("ParseLimits(%q), printed as %q and parsed again:\ngot  %v\nwant %v", row.field, got.String(), again, got)
			}
		})
	}
}

func seventeen() string {
	var b strings.Builder
	for c := 'a'; c < 'a'+17; c++ {
		b.WriteString("b=" + string(c) + ";q=1;r=1;t=1,")
	}
	return b.String()
}

func TestParseLimitsJoinsLines(t *testing.T) {
	h := http.Header{}
	h.Add("auth0-client-quota-limit", "b=per_hour;q=10;r=9;t=774")
	h.Add("AUTH0-CLIENT-QUOTA-LIMIT", "b=per_day;q=50;r=47;t=22374")
	h.Add("Auth0-Organization-Quota-Limit", "b=per_hour;q=5;r=4;t=774")
	client, _ := ClientLimits(h)
	if got, want := client.String(), "b=per_hour;q=10;r=9;t=774,b=per_day;q=50;r=47;t=22374"; got != want {
		t.Errorf("two field lines: got %q, want %q", got, want)
	}
	organization, _ := OrganizationLimits(h)
	if got, want := organization.String(), "b=per_hour;q=5;r=4;t=774"; got != want {
		t.Errorf("the organization's: got %q, want %q", got, want)
	}
}

// Other rate-limit headers speak of other limits, whatever they look like.
func TestOtherHeadersAreNoQuota(t *testing.T) {
	h := http.Header{}
	h.Set("Auth0-RateLimit", "client;q=10;t=1;r=0")
	h.Set("X-RateLimit-Remaining", "0")
	h.Set("X-Quota-Client-Limit", "b=per_hour;q=10;r=0;t=774")
	h.Set("Auth0-Quota-Limit", "b=per_hour;q=10;r=0;t=774")
	h.Set("RateLimit", `"default";r=0;t=30`)
	client, _ := ClientLimits(h)
	organization, _ := OrganizationLimits(h)
	if client != nil || organization != nil {
		t.Errorf("got %v and %v, want no observation", client, organization)
	}
}

func FuzzParseLimits(f *testing.F) {
	for _, seed := range []string{
		"b=per_hour;q=42;r=42;t=3600,b=per_day;q=100;r=100;t=86400", "per_hour;q=1", `b="x";q=1;r=-1;t=1.5,`, ";;=,", "B=A;Q=1;R=2;T=3;X=y",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		limits, flaws := ParseLimits(field)
		if len(limits) > maxBuckets || flaws < 0 {
			t.Fatalf("ParseLimits(%q): got %d buckets, %d flaws", field, len(limits), flaws)
		}
		for _, l := range limits {
			if l.Bucket == "" || l.Quota < 0 || l.HasRemaining && l.Remaining > l.Quota || l.Reset < 0 {
				t.Errorf("ParseLimits(%q): impossible limit %+v", field, l)
			}
			if l.HasRemaining && l.Remaining == 0 && !strings.ContainsAny(field, "0") {
				t.Errorf("ParseLimits(%q): nothing left, and nothing says so: %+v", field, l)
			}
		}
		if again, flaws := ParseLimits(limits.String()); !reflect.DeepEqual(again, limits) || flaws != 0 {
			t.Errorf("ParseLimits(%q) printed as %q and parsed again: got %v, want %v", field, limits.String(), again, limits)
		}
	})
}
