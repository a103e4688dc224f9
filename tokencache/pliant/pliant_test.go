package pliant_test

import (
	"net/url"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/pliant"
)

func TestEnvironments(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	cache, err := tokencache.New(rdb, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	for _, e := range []pliant.Environment{pliant.Production, pliant.Sandbox} {
		t.Run(e.Name, func(t *testing.T) {
			for _, raw := range []string{e.TokenURL, e.APIBase, e.PCIBase} {
				if u, err := url.Parse(raw); err != nil || u.Scheme != "https" || u.Host == "" {
					t.Errorf("%q is not an https URL: %v", raw, err)
				}
			}
			cred := e.Credentials("id", "secret")
			if cred.Audience != e.Audience || cred.TokenURL != e.TokenURL || cred.Encoding != tokencache.JSON {
				t.Errorf("got %v, want JSON requests to %s for %s", cred, e.TokenURL, e.Audience)
			}
			if _, err := cache.Source(cred); err != nil {
				t.Error(err)
			}
		})
	}
	if pliant.Production.TokenURL == pliant.Sandbox.TokenURL || pliant.Production.Audience == pliant.Sandbox.Audience {
		t.Error("the environments are not apart")
	}
	if pliant.OldSandboxAudience == pliant.Sandbox.Audience {
		t.Error("the old audience is the new one")
	}
}
