package demo

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"strings"
	"time"

	"github.com/fleettoken/fleettoken/tokencache"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A stage is what a fleet lives on: a token endpoint with an API, a Redis, and
// somebody who looks on.
type stage struct {
	tenant   *auth0test.Server
	store    *store
	observer *observer
	config   ReplicaConfig // of every replica, but for its name
}

// setUp makes a stage. It fails if the given Redis does not answer.
func setUp(ctx context.Context, o Options, p plan) (*stage, error) {
	st, err := openStore(o.Redis)
	if err != nil {
		return nil, err
	}
	secret := rand.Text()
	tenant := auth0test.NewServer(&auth0test.Config{
		ClientID: "demo-client", ClientSecret: secret, Audiences: []string{"https://api.example.com/"},
		TTL: p.life(p.first), PerHour: perHour, PerDay: perDay, Latency: p.latency,
		ErrorLog: log.New(io.Discard, "", 0), // connections that the demo cuts are no news
	})
	s := &stage{tenant: tenant, store: st}
	s.config = ReplicaConfig{
		Redis: st.opts,
		Credentials: tokencache.Credentials{
			TokenURL: tenant.TokenURL(), ClientID: "demo-client", ClientSecret: secret, Audience: "https://api.example.com/",
		},
		APIURL: tenant.APIURL(), Roots: x509.NewCertPool(),
		Options: tokencache.Options{
			Prefix:      "fleettoken-demo-" + strings.ToLower(rand.Text()[:10]), // so that it meets nobody else
			RenewBefore: p.window, RequestTimeout: p.timeout, RedisTimeout: p.redis,
			Subscribe: true, // so that a rotation is heard at once
		},
	}
	s.config.Roots.AppendCertsFromPEM(tenant.CAPEM())
	if s.observer, err = newObserver(s.config); err == nil {
		if err = s.observer.look(ctx); err == nil {
			return s, nil
		}
		err = fmt.Errorf("%s: %w", st.name(), err)
		s.observer.close()
	}
	tenant.Close()
	st.close()
	return nil, err
}

// next says how long the next token lives, and what befalls the requests before
// it is issued.
func (s *stage) next(life time.Duration, faults ...auth0test.Fault) {
	s.tenant.Update(func(c *auth0test.Config) { c.TTL = life })
	for _, f := range faults {
		s.tenant.Inject(1, f)
	}
}

// named returns the configuration of one replica.
func (s *stage) named(name string) ReplicaConfig {
	cfg := s.config
	cfg.Name = name
	return cfg
}

// close takes the stage down, and leaves nothing in a Redis that stays.
func (s *stage) close(ctx context.Context) error {
	var err error
	if s.store.embedded == nil {
		err = s.observer.tidyUp(context.WithoutCancel(ctx))
	}
	s.observer.close()
	s.tenant.Close()
	s.store.close()
	return err
}
