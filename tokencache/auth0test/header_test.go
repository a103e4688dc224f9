package auth0test_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

func TestHeaderForms(t *testing.T) {
	t.Parallel()
	tests := map[auth0test.HeaderForm]struct {
		name  string
		field string // zero: the documented one
		lines []string
	}{
		auth0test.HeaderStandard:    {"standard", "", []string{"b=per_hour;q=9;r=8;t=3000,b=per_day;q=20;r=19;t=85800"}},
		auth0test.HeaderBareNames:   {"bare names", "", []string{"per_hour;q=9;r=8;t=3000,per_day;q=20;r=19;t=85800"}},
		auth0test.HeaderSpaced:      {"spaced", "", []string{"b=per_hour; q=9; r=8; t=3000, b=per_day; q=20; r=19; t=85800"}},
		auth0test.HeaderTwoLines:    {"two lines", "", []string{"b=per_hour;q=9;r=8;t=3000", "b=per_day;q=20;r=19;t=85800"}},
		auth0test.HeaderOldNames:    {"old names", "X-Quota-Client-Limit", []string{"b=per_hour;q=9;r=8;t=3000,b=per_day;q=20;r=19;t=85800"}},
		auth0test.HeaderUpperKeys:   {"upper-case keys", "", []string{"B=per_hour;Q=9;R=8;T=3000,B=per_day;Q=20;R=19;T=85800"}},
		auth0test.HeaderQuotedNames: {"quoted names", "", []string{`b="per_hour";q=9;r=8;t=3000,b="per_day";q=20;r=19;t=85800`}},
		auth0test.HeaderNameLast:    {"name last", "", []string{"q=9;r=8;t=3000;b=per_hour,q=20;r=19;t=85800;b=per_day"}},
		auth0test.HeaderExtra:       {"extra", "", []string{"b=per_hour;q=9;r=8;t=3000;x=extra,b=per_day;q=20;r=19;t=85800;x=extra,"}},
		auth0test.HeaderNoReset:     {"no reset", "", []string{"b=per_hour;q=9;r=8,b=per_day;q=20;r=19"}},
		auth0test.HeaderNoRemaining: {"no remaining", "", []string{"b=per_hour;q=9;t=3000,b=per_day;q=20;t=85800"}},
		auth0test.HeaderAbsent:      {"absent", "", nil},
	}
	for form := auth0test.HeaderStandard; form <= auth0test.HeaderAbsent; form++ {
		want := tests[form]
		t.Run(form.String(), func(t *testing.T) {
			t.Parallel()
			wantEqual(t, "name", form.String(), want.name)
			cfg := &auth0test.Config{PerHour: 9, PerDay: 20, Header: form}
			bubble(t, cfg, func(t *testing.T, s *auth0test.Server, c *http.Client) {
				time.Sleep(10 * time.Minute)
				r := ask(t, c, s)
				field := want.field
				if field == "" {
					field = clientQuota
				}
				if got := r.header.Values(field); !slices.Equal(got, want.lines) {
					t.Errorf("got %q, want %q", got, want.lines)
				}
				wantEqual(t, "documented field present", r.header.Get(clientQuota) != "", want.field == "" && want.lines != nil)
				wantEqual(t, "header in the ledger", s.Requests()[0].ClientQuota, strings.Join(want.lines, ","))
			})
		})
	}
	wantEqual(t, "name of no form", auth0test.HeaderForm(99).String(), "HeaderForm(99)")
}
