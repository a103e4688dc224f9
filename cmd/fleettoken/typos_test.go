package main

import "testing"

func TestWarnOfTypos(t *testing.T) {
	a, stderr := newTestApp(map[string]string{
		"FLEETTOKEN_CLIENT_SECERT": "x", "FLEETTOKEN_REDIS_URI": "x", // mistakes
		"FLEETTOKEN_SEAL_KEYS_FILE": "x",                                                                            // an old name
		"FLEETTOKEN_SERVICE_HOST":   "x", "FLEETTOKEN_PORT": "x", "FLEETTOKEN_PORT_443_TCP": "x", "FLEETTOKEN": "x", // of others
	})
	a.warnOfTypos()
	want := "fleettoken: FLEETTOKEN_CLIENT_SECERT is not a setting\nhint: did you mean FLEETTOKEN_CLIENT_SECRET\n" +
		"fleettoken: FLEETTOKEN_REDIS_URI is not a setting\nhint: did you mean FLEETTOKEN_REDIS_URL\n" +
		"fleettoken: FLEETTOKEN_SEAL_KEYS_FILE is not a setting any more\nhint: it is called FLEETTOKEN_ENCRYPTION_KEYS_FILE now\n"
	if got := stderr.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEdits(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "acb", 2}, {"kitten", "sitting", 3},
	}
	for _, test := range tests {
		if got := edits(test.a, test.b); got != test.want {
			t.Errorf("edits(%q, %q): got %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
