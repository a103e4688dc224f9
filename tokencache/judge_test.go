package tokencache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fleettoken/fleettoken/e2e/canary"
	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// A simulation is a fleet to which things happen, while callers on every replica use
// its token, and which is held against the promises of the package.
type simulation struct {
	*fleet
	began time.Time
	stop  context.CancelFunc
	ctx   context.Context // ends when the callers are to go
	pace  time.Duration   // how often a replica is asked, on average

	terms replica.Terms // that the options say
	wants int           // how many tokens each replica wants
	tight bool          // the quota may not allow for what happens
	backs []time.Time   // when the clock of Redis goes back

	quotaKnown bool // the endpoint has a quota

	mu      sync.Mutex
	diary   []string        // what happened to the fleet, in order
	broken  []string        // which promises were broken
	crew    []*member       // the replicas that live
	named   int             // how many there ever were
	costs   int             // token requests that what happened may cost, at most
	broke   int             // how often the lease may have been lost
	losses  int             // how often Redis lost what it knew
	faults  []*upset        // what is to strike, and may have struck
	printed strings.Builder // all that was logged or returned as an error
	over    time.Time       // when all that was to happen had
	stock   time.Time       // since when it has been seen that the fleet has a token
	damaged bool            // a key was damaged
}

// A member is a replica and its callers.
type member struct {
	*testReplica
	leave    context.CancelFunc
	left     chan struct{}
	sources  []*Source
	served   map[*Source]time.Time      // when a caller last got a token
	records  map[*Source]replica.Record // of the best token it ever served
	clockSet time.Time                  // when it was
	offset   time.Duration              // how far its wall clock is off
	mu       sync.Mutex
}

// note writes into the diary.
func (tr *simulation) note(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.diary = append(tr.diary, fmt.Sprintf("%12v  %s", time.Since(tr.began).Round(time.Millisecond), fmt.Sprintf(format, args...)))
}

// violates notes that a promise was broken.
func (tr *simulation) violates(promise, format string, args ...any) {
	text := promise + ": " + fmt.Sprintf(format, args...)
	tr.note("*** %s", text)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.broken = append(tr.broken, text)
}

// cost allows for token requests and lost leases.
func (tr *simulation) cost(requests, leases int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.costs += requests
	tr.broke += leases
}

// Write takes in what is logged.
func (tr *simulation) Write(p []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.printed.Write(p)
}

// try runs a simulation of n replicas in the bubble of f, from a cold start to the
// end, and passes judgement.
func (f *fleet) try(n int, pace time.Duration, happens func(tr *simulation)) *simulation {
	f.t.Helper()
	opts, _, err := f.opts.complete()
	if err != nil {
		f.t.Fatal(err)
	}
	tr := &simulation{fleet: f, began: time.Now(), pace: pace, wants: max(f.wants, 1), tight: f.tight}
	tr.terms = replica.Terms{RenewBefore: opts.RenewBefore, RequestTimeout: opts.RequestTimeout, Lease: 2 * opts.RequestTimeout}
	f.judged = true
	f.opts.Logger = slog.New(slog.NewTextHandler(tr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	tr.ctx, tr.stop = context.WithCancel(f.t.Context())
	for range n {
		tr.join()
	}
	happens(tr)
	tr.recovers()
	tr.stop()
	for _, m := range tr.all() {
		tr.leave(m)
	}
	tr.judge()
	return tr
}

// add adds a replica that nobody asks for anything yet.
func (tr *simulation) add() *member {
	tr.mu.Lock()
	tr.named++
	name := fmt.Sprintf("r%d", tr.named)
	tr.mu.Unlock()
	m := &member{testReplica: tr.boot(name), leave: func() {}, left: make(chan struct{}), records: make(map[*Source]replica.Record), served: make(map[*Source]time.Time)}
	m.sources = []*Source{m.source}
	for i := 1; i < tr.wants; i++ {
		m.sources = append(m.sources, tr.another(m.testReplica, func(cred *Credentials) { cred.Audience = fmt.Sprint("api", i) }))
	}
	m.cache.wall = func() time.Time { m.mu.Lock(); defer m.mu.Unlock(); return time.Now().Add(m.offset) }
	close(m.left)
	tr.mu.Lock()
	tr.crew = append(tr.crew, m)
	tr.mu.Unlock()
	return m
}

// join adds a replica with a caller. It asks a moment later, so that what is
// done to a replica when it joins is done before.
func (tr *simulation) join() *member {
	m := tr.add()
	var ctx context.Context
	ctx, m.leave = context.WithCancel(tr.ctx)
	m.left = make(chan struct{})
	go func() {
		defer close(m.left)
		time.Sleep(time.Nanosecond)
		for ctx.Err() == nil {
			tr.call(ctx, m, m.sources[rand.N(len(m.sources))])
			select {
			case <-time.After(rand.N(2 * tr.pace)):
			case <-ctx.Done():
			}
		}
	}()
	return m
}

// leave ends a replica politely.
func (tr *simulation) leave(m *member) {
	m.leave()
	<-m.left
	m.close()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.crew = slices.DeleteFunc(tr.crew, func(other *member) bool { return other == m })
}

// kill ends a replica as a crash does: nobody hears of it any more.
func (tr *simulation) kill(m *member) {
	m.net.cut()
	m.web.set(func() { m.web.shut = errUnplugged })
	tr.leave(m)
}

// patience is how long a caller waits for a token.
const patience = 20 * time.Second

// dead is how long a replica that dies holds up the others, at most.
func (tr *simulation) dead() time.Duration { return dead - usual.Lease + tr.terms.Lease }

// call lets a caller ask m for one of its tokens, once.
func (tr *simulation) call(ctx context.Context, m *member, s *Source) {
	before := s.held.Load()
	m.mu.Lock()
	steady := m.clockSet.IsZero() || before != nil && before.since.After(m.clockSet) || // for it has measured since, or could
		m.served[s].After(m.clockSet) && tr.isOver(tr.dead())
	sure := before != nil && steady && time.Until(before.since.Add(before.Remaining)) > replica.Leeway(before.Record.Lifetime)
	m.mu.Unlock()
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	tok, err := s.Token(asking)
	took := time.Since(start)
	if ctx.Err() != nil {
		return
	}
	if sure && (err != nil || took > 0) {
		tr.violates("P1", "%s held a valid token, and its caller waited %v for: %v", m.name, took, err)
	}
	if took > patience+time.Second {
		tr.violates("P1", "a caller of %s had %v, and got its answer after %v", m.name, patience, took)
	}
	if err != nil {
		fmt.Fprintf(tr, "%v %+v\n", err, err)
		if tr.late(start, s) > 0 {
			tr.insists(ctx, m, s)
		}
		return
	}
	if got := tr.tenant.Check(tok.AccessToken); got != auth0test.TokenValid && !tr.deceived() {
		tr.violates("P3", "%s served a token that is %v", m.name, got)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.served[s] = time.Now()
	h := s.held.Load()
	if h != nil && h.Record.Expires > 0 {
		// Once the clock of Redis has gone back, a newer token may be dated before an older
		// one that has expired. Then the endpoint's order counts.
		newer := func(a, b replica.Record) bool {
			return auth0test.RequestNumber(a.Payload.(*payload).accessToken) > auth0test.RequestNumber(b.Payload.(*payload).accessToken)
		}
		if best := m.records[s]; best.Expires > 0 && h.Record.Compare(best) < 0 && !(tr.wentBack() && newer(h.Record, best)) {
			tr.violates("P4", "%s went back from a token of %v to one of %v", m.name,
				issuedAt(best), issuedAt(h.Record))
		}
		m.records[s] = h.Record
	}
}

// isOver reports whether all that was to happen has been over for a while.
func (tr *simulation) isOver(since time.Duration) bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return !tr.over.IsZero() && time.Since(tr.over) > since
}

// insists checks that m has a token the next time somebody asks: it may just have found
// out that its connections to Redis are gone, and tells its callers so at once; or that
// a dead replica holds the lease.
func (tr *simulation) insists(ctx context.Context, m *member, s *Source) {
	time.Sleep(2 * time.Second)
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	_, err := s.Token(asking)
	if late := tr.late(start, s); err != nil && late > 0 && ctx.Err() == nil {
		tr.violates("P7", "%s has no token %v after all has to be well again: %v", m.name, late, err)
	}
}

// late returns for how long all has had to be well again, by what is known now, when a
// caller began to ask at start.
func (tr *simulation) late(start time.Time, s *Source) time.Duration {
	now, stocked := time.Now(), tr.wants == 1 && tr.stocked()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if !stocked {
		tr.stock = time.Time{}
	} else if tr.stock.IsZero() {
		tr.stock = now
	}
	well := tr.over
	switch {
	case tr.over.IsZero(): // something is yet to happen
		return 0
	case stocked: // so everybody has to have a token a while later
		well = tr.stock.Add(time.Minute) // written out, so that it is noticed if nobody looks that soon
	default: // when the longest wait is over that a failed request can bring about
		for _, r := range tr.tenant.Requests() {
			if r.Status == http.StatusOK && r.Fault == "" {
				continue
			}
			heard := r.Ended
			if heard.IsZero() {
				heard = now
			}
			if heard.Before(tr.over) { // whoever was stopped has heard of it since
				heard = tr.over
			}
			d, refused := refusedFor(r)
			if !refused {
				d = 6 * time.Minute
				if tr.damaged && !tr.quotaKnown {
					d = 16 * time.Minute // of the requests for a damaged record, a lost answer spends the one in a quarter of an hour
				}
			}
			if end := heard.Add(d); end.After(well) {
				well = end
			}
		}
	}
	if ttl := tr.ttl(); tr.terms.Window(ttl) < 2*tr.terms.Lease {
		// A lease that no replica gives back is met only when a token is due, and then
		// lasts longer than the window: so one token may expire before the next.
		well = well.Add(ttl + tr.terms.Lease)
	}
	if tr.tight { // by the end of the day there is a new quota
		day := well.UTC().Truncate(24 * time.Hour).Add(24*time.Hour + 2*time.Minute)
		well = day
	}
	return start.Sub(well.Add(tr.dead() + time.Minute))
}

// stocked reports whether the fleet has a token that is valid for a while, in Redis and
// with one of the replicas.
func (tr *simulation) stocked() bool {
	return slices.ContainsFunc(tr.all(), func(m *member) bool {
		h := m.source.valid()
		return h != nil && h.Plan.Expire-h.Age(m.cache.now()) > time.Minute &&
			tr.m.HGet(m.source.token.Key(), "issued") == strconv.FormatInt(h.Record.Issued, 10)
	})
}

// recovers checks that all is well again, a while after what happened is over:
// when the last refusal is.
func (tr *simulation) recovers() {
	for seen := -1; seen < len(tr.tenant.Requests()); { // a request meanwhile may be refused as well
		requests := tr.tenant.Requests()
		seen = len(requests)
		for _, r := range requests {
			if d, ok := refusedFor(r); ok {
				time.Sleep(time.Until(r.Arrived.Add(d + time.Minute)))
			}
		}
	}
	tr.mu.Lock()
	damaged := tr.damaged && !tr.quotaKnown
	tr.mu.Unlock()
	var wg sync.WaitGroup
	for _, m := range tr.all() {
		for _, s := range m.sources {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(tr.ctx, patience+tr.terms.Lease)
				defer cancel()
				tok, err := s.Token(ctx)
				if denied, ok := errors.AsType[*quota.DeniedError](err); ok && damaged && denied.Priority == quota.Forced {
					if wait := time.Until(denied.RetryAt); wait <= 15*time.Minute { // while the quota is not known
						time.Sleep(wait + time.Second)
						tok, err = s.Token(tr.ctx)
					}
				}
				if err != nil && tr.tight { // by the end of the day there is a new quota
					time.Sleep(time.Until(time.Now().UTC().Truncate(24 * time.Hour).Add(24*time.Hour + 5*time.Minute)))
					tok, err = s.Token(tr.ctx)
				}
				if err != nil {
					tr.violates("P7", "%s has no token in the end: %v", m.name, err)
				} else if got := tr.tenant.Check(tok.AccessToken); got != auth0test.TokenValid && !tr.deceived() {
					tr.violates("P7", "%s has a token in the end that is %v", m.name, got)
				}
			})
		}
	}
	wg.Wait()
}

// judge holds the ledger of the endpoint against the promises.
func (tr *simulation) judge() {
	for _, b := range tr.faults {
		if b.when().IsZero() {
			tr.violates("simulation", "%s never struck", b.what)
		}
	}
	requests := tr.tenant.Requests()
	var ttl time.Duration
	tr.tenant.Update(func(c *auth0test.Config) { ttl = c.TTL })
	period := ttl - tr.terms.Window(ttl)
	due := tr.wants * int((time.Since(tr.began)+period-1)/period)
	if len(requests) > due+tr.wants*tr.costs {
		tr.violates("P2", "got %d token requests, want %d and %d for what happened, at most", len(requests), due, tr.wants*tr.costs)
	}
	if n := requests.MaxConcurrent(); n > 1+tr.broke {
		tr.violates("P2", "got %d token requests at once, and %d leases were lost", n, tr.broke)
	}
	// A refusal is forgotten if the only one who heard of it dies, or was the only
	// one and Redis loses it. Then one request finds out; if that fails in some
	// other way, nobody knows yet.
	probes := tr.losses + tr.broke
	for i, r := range requests {
		d, refused := refusedFor(r)
		for _, next := range requests[i+1:] {
			blind := probes > 0 && next.Fault != "" && next.Status != http.StatusTooManyRequests
			if refused && !blind && next.Arrived.Before(r.Arrived.Add(d-time.Second)) {
				if probes--; probes < 0 {
					tr.violates("P5", "request %d came %v after request %d was refused for %v", next.Number, next.Arrived.Sub(r.Arrived), r.Number, d)
				}
				if next.Status == http.StatusTooManyRequests {
					break // so the refusal that counts from here on is this one, which is judged as well
				}
			}
			if next.Status == http.StatusOK {
				break // so the refusal is over
			}
		}
		// A RedisDownBudget lets each replica spend some, whatever the quota is.
		if r.Status == http.StatusTooManyRequests && r.Fault == "" && tr.opts.RedisDownBudget == nil {
			tr.violates("P5", "request %d exceeded the quota", r.Number)
		}
		// Each replica may send one for each of its tokens when it is cold, one after the
		// other under one lease; and all may within their budget while Redis is unreachable.
		if n := (2 + tr.broke) * tr.wants; i >= n && r.Arrived.Sub(requests[i-n].Arrived) < time.Second && tr.opts.RedisDownBudget == nil {
			tr.violates("P8", "%d requests within a second, up to request %d", n+1, r.Number)
		}
	}
	tr.mu.Lock()
	printed := tr.printed.String()
	tr.mu.Unlock()
	tr.eachLeak(printed, func(leak string) { tr.violates("P6", "%s", leak) })
	if len(tr.broken) > 0 {
		tr.t.Errorf("%s\nwhat happened, and when:\n%s", strings.Join(tr.broken, "\n"), strings.Join(tr.diary, "\n"))
	}
}

// eachLeak searches what was printed, and what Redis holds, for what must not be
// seen. Of hundreds of tokens, some tell as much as all.
func (f *fleet) eachLeak(printed string, found func(leak string)) {
	tokens := f.tenant.Tokens()
	if n := len(tokens); n > 6 {
		tokens = slices.Concat(tokens[:3], tokens[n-3:])
	}
	for where, text := range map[string]canary.Text{"what was printed": canary.In(printed), "Redis": canary.In(f.stored())} {
		for _, secret := range f.secretsAnd(tokens) {
			if how, around, is := text.Find(secret); is {
				found(fmt.Sprintf("the %s is in %s (%s): …%s…", secret, where, how, around))
			}
		}
	}
}

// secrets returns all that must not be seen: the client secret, the password of
// Redis, the encryption keys, and every token that was issued.
func (f *fleet) secrets() []canary.Secret { return f.secretsAnd(f.tenant.Tokens()) }

func (f *fleet) secretsAnd(tokens []string) []canary.Secret {
	secrets := []canary.Secret{canary.Of("password of Redis", f.password)}
	if len(f.secret) >= 8 { // some stories have one that anybody could write by chance
		secrets = append(secrets, canary.Of("client secret", f.secret))
	}
	for _, key := range f.opts.EncryptionKeys {
		secrets = append(secrets, canary.Of("encryption key", string(key)))
	}
	for i, token := range tokens {
		secrets = append(secrets, canary.Of(fmt.Sprintf("token %d", i+1), token))
	}
	return secrets
}

// stored returns all that Redis holds: keys, fields and values, and the journal.
func (f *fleet) stored() string {
	var all strings.Builder
	for _, key := range f.m.Keys() {
		all.WriteString(key + "\n")
		switch f.m.Type(key) {
		case "string":
			value, _ := f.m.Get(key)
			all.WriteString(value + "\n")
		case "hash":
			names, _ := f.m.HKeys(key)
			for _, name := range names {
				all.WriteString(name + " " + f.m.HGet(key, name) + "\n")
			}
		case "stream":
			entries, _ := f.m.Stream(key)
			fmt.Fprintln(&all, entries)
		default:
			f.t.Errorf("%s is a %s, and nobody has searched it", key, f.m.Type(key))
		}
	}
	return all.String()
}

// refusedFor returns how long the endpoint wanted to be left alone.
func refusedFor(r auth0test.Request) (time.Duration, bool) {
	wait, ok := strings.CutPrefix(r.Fault, "refused for ")
	d, err := time.ParseDuration(wait)
	return d, ok && err == nil && r.Status == http.StatusTooManyRequests
}
