package tokencache

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
)

// This file puts random injections together, two or three in one fleet's life,
// around the moments that matter. A run that breaks a promise prints its seed.
// The seed decides what happens and when, but not how goroutines interleave: if
// it does not break a promise again, what it printed has to do.
//
//	go test ./tokencache -run Chaos                             some
//	go test ./tokencache -run Chaos -args -fleet-days 100000    before a release
//	go test ./tokencache -run Chaos -args -seed 17              one of them

var (
	fleetDays = flag.Float64("fleet-days", 0, "how many days of a fleet's life TestChaos tells; 0: a hundred, and fewer with -short or the race detector")
	oneSeed   = flag.Uint64("seed", 0, "the only schedule that TestChaos tells")
)

// known are seeds that broke a promise once, or that the judge once thought did, all
// with the default options.
var known = []uint64{170357404, 509260739, 1434272218, 1672867971, 1672873637, 1847434428, 2115074085, 2607647257, 3241410852, 3394876190, 3712548966, 3908546907, 3908547291, 4146212609}

// knownWithOptions are such seeds, of schedules with options.
var knownWithOptions = []uint64{2133741564, 2865704976, 3824804252, 3824804590, 1998513267, 599795175, 599795200}

// A injection is one kind of thing that can happen to a fleet.
type injection struct {
	name     string
	requests int // that it may cost, at most
	leases   int // that may be lost by it
	losses   int // of what Redis knew
	strike   func(tr *simulation, luck *rand.Rand, lasts time.Duration) (end func())
}

// injections are all there are. Some last, and end when the function that they
// return is called; others are over at once.
var injections = []injection{
	{"a replica loses Redis", 1, 1, 0, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		m := tr.any(luck)
		m.net.cut()
		return m.net.mend
	}},
	{"all lose Redis", 1, 1, 0, func(tr *simulation, _ *rand.Rand, _ time.Duration) func() {
		return everywhere((*link).cut)(tr)
	}},
	{"Redis swallows what it is sent", 1, 1, 0, func(tr *simulation, _ *rand.Rand, _ time.Duration) func() {
		var thaw []func()
		for _, m := range tr.all() {
			thaw = append(thaw, m.net.freeze())
		}
		return func() {
			for _, f := range thaw {
				f()
			}
		}
	}},
	{"all connections to Redis break", 1, 1, 0, func(tr *simulation, _ *rand.Rand, _ time.Duration) func() {
		for _, m := range tr.all() {
			m.net.drop()
		}
		return nil
	}},
	{"replies of Redis get lost", 1, 1, 0, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		for _, m := range tr.all() {
			n := 1 + luck.IntN(3)
			m.net.set(func() { m.net.lose = n })
		}
		return nil
	}},
	{"Redis is slow", 1, 1, 0, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		d := time.Duration(luck.IntN(1500)) * time.Millisecond
		return everywhere(func(l *link) { l.set(func() { l.delay = d }) })(tr)
	}},
	{"Redis refuses", 1, 1, 0, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		says := []string{
			"LOADING Redis is loading the dataset in memory", "READONLY You can't write against a read only replica.",
			"OOM command not allowed when used memory > 'maxmemory'.", "BUSY Redis is busy running a script.",
			"CLUSTERDOWN The cluster is down", "MASTERDOWN Link with MASTER is down", "NOAUTH Authentication required.",
			"NOREPLICAS Not enough good replicas to write.", "TRYAGAIN Multiple keys request during rehashing of slot",
			"ERR max number of clients reached", "NOPERM this user has no permissions to run the 'eval' command",
		}[luck.IntN(11)]
		tr.note("it says %s", says)
		tr.m.SetError(says)
		return func() { tr.m.SetError("") }
	}},
	{"Redis loses all it knew", 1, 1, 1, func(tr *simulation, _ *rand.Rand, _ time.Duration) func() {
		tr.m.FlushAll()
		return nil
	}},
	{"Redis evicts a key", 1, 1, 1, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		keys := tr.m.Keys()
		if len(keys) > 0 {
			key := keys[luck.IntN(len(keys))]
			tr.note("it evicts %s", key)
			tr.m.Del(key)
		}
		return nil
	}},
	{"somebody puts garbage into a key", 1, 1, 1, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		keys := tr.m.Keys()
		if len(keys) > 0 {
			key := keys[luck.IntN(len(keys))]
			tr.note("into %s", key)
			tr.mu.Lock()
			tr.damaged = true
			tr.mu.Unlock()
			tr.m.Del(key)
			if luck.IntN(2) == 0 {
				_ = tr.m.Set(key, "garbage")
			} else {
				tr.m.HSet(key, "issued", "1", "expires", "99999999999999", "sealed", "garbage")
			}
		}
		return nil
	}},
	{"somebody takes the lease for ever", 0, 0, 0, func(tr *simulation, _ *rand.Rand, _ time.Duration) func() {
		for _, m := range tr.all()[:1] {
			_ = tr.m.Set(m.source.client.names.Lock, "mine")
		}
		return nil
	}},
	{"Redis puts an old token back", 1, 0, 0, func(tr *simulation, luck *rand.Rand, lasts time.Duration) func() {
		key := tr.any(luck).source.token.Key()
		fields := map[string]string{}
		names, _ := tr.m.HKeys(key)
		for _, name := range names {
			fields[name] = tr.m.HGet(key, name)
		}
		return func() {
			for name, value := range fields {
				tr.m.HSet(key, name, value)
			}
		}
	}},
	{"the endpoint is out of order", 3, 0, 0, fail(func(luck *rand.Rand) auth0test.Fault {
		return auth0test.Status([]int{500, 502, 503, 504}[luck.IntN(4)])
	})},
	{"the endpoint does not answer", 3, 0, 0, fail(func(*rand.Rand) auth0test.Fault { return auth0test.Hang() })},
	{"answers of the endpoint get lost", 3, 0, 0, fail(func(*rand.Rand) auth0test.Fault { return auth0test.LostAnswer() })},
	{"the endpoint hangs up", 3, 0, 0, fail(func(*rand.Rand) auth0test.Fault { return auth0test.Cut() })},
	{"the endpoint is slow", 0, 0, 0, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		by := time.Duration(luck.IntN(9000)) * time.Millisecond
		if by > min(tr.terms.RequestTimeout, tr.ttl()-tr.terms.Window(tr.ttl()))/4 { // it comes too late, or not at all
			tr.cost(3, 0)
		}
		tr.tenant.Inject(2, auth0test.Slow(by))
		return nil
	}},
	{"the endpoint issues no token", 3, 0, 0, fail(func(luck *rand.Rand) auth0test.Fault {
		return []auth0test.Fault{
			auth0test.Field("access_token", ""), auth0test.Field("token_type", `"mac"`), auth0test.Field("expires_in", "-1"),
			{Name: "HTML", Body: "<html>maintenance</html>"}, {Name: "half a body", CutBody: true},
		}[luck.IntN(5)]
	})},
	{"the quota is spent", 1, 0, 0, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		wait := time.Duration(1+luck.IntN(600)) * time.Second
		f := auth0test.QuotaExceeded(wait)
		f.Name, f.SkipQuotaHeader = "refused for "+wait.String(), true // what it would say of the day is believed until midnight
		tr.tenant.Inject(1, f)
		return nil
	}},
	{"the tenant is over its limit", 2, 0, 0, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		tr.tenant.Inject(1+luck.IntN(2), auth0test.TenantLimit(time.Duration(1+luck.IntN(60))*time.Second))
		return nil
	}},
	{"a replica is killed", 1, 1, 0, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		tr.kill(tr.any(luck))
		return func() { tr.join() }
	}},
	{"the renewer is killed", 1, 1, 0, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		if m := tr.renewer(); m != nil {
			tr.note("it is %s", m.name)
			tr.kill(m)
			return func() { tr.join() }
		}
		return nil
	}},
	{"the renewer is stopped for a while", 1, 1, 0, func(tr *simulation, _ *rand.Rand, _ time.Duration) func() {
		m := tr.renewer()
		if m == nil {
			m = tr.all()[0]
		}
		tr.note("it is %s", m.name)
		redis, web := m.net.freeze(), m.web.freeze()
		return func() { redis(); web() }
	}},
	{"all restart, one after another", 2, 0, 0, func(tr *simulation, _ *rand.Rand, _ time.Duration) func() {
		for _, m := range tr.all() {
			tr.leave(m)
			tr.join()
			time.Sleep(100 * time.Millisecond)
		}
		return nil
	}},
	{"all restart at once", 1, 1, 0, func(tr *simulation, _ *rand.Rand, _ time.Duration) func() {
		crew := tr.all()
		for _, m := range crew {
			tr.kill(m)
		}
		for range crew {
			tr.join()
		}
		return nil
	}},
	{"replicas join", 0, 0, 0, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		for range 1 + luck.IntN(5) {
			tr.join()
		}
		return nil
	}},
	{"a clock is set", 0, 0, 0, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		m := tr.any(luck)
		by := time.Duration(luck.Int64N(int64(20*time.Minute))) - 10*time.Minute
		if luck.IntN(4) == 0 {
			by *= 100
		}
		tr.note("that of %s, by %v", m.name, by)
		m.set(by)
		return func() { m.set(-by) }
	}},
	{"an operator rotates the token", 1, 0, 0, func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		m := tr.any(luck)
		go func() { _ = m.source.Rotate(tr.ctx) }()
		return nil
	}},
	{"the API refuses the token", 1, 0, 0, func(tr *simulation, _ *rand.Rand, _ time.Duration) func() {
		for _, m := range tr.all() {
			if h := m.source.held.Load(); h != nil {
				go func() { _ = m.source.Invalidate(tr.ctx, h.token) }()
			}
		}
		return nil
	}},
	// It is set twice, there and back: two faults, and each may end a lease. One of the two
	// sets it back.
	{"the clock of Redis is set", 2, 2, 1, func(tr *simulation, luck *rand.Rand, lasts time.Duration) func() {
		by := time.Duration(luck.Int64N(int64(10*time.Minute))) - 5*time.Minute
		tr.note("by %v", by)
		back := time.Now()
		if by > 0 {
			back = back.Add(lasts)
		}
		tr.setBack(back)
		return tr.stepRedisClock(by, min(time.Second, max(10*time.Millisecond, tr.ttl()/1000)))
	}},
}

// fail returns a injection of one to three token requests.
func fail(fault func(luck *rand.Rand) auth0test.Fault) func(*simulation, *rand.Rand, time.Duration) func() {
	return func(tr *simulation, luck *rand.Rand, _ time.Duration) func() {
		tr.tenant.Inject(1+luck.IntN(3), fault(luck))
		return nil
	}
}

// setBack notes when the clock of Redis goes back.
func (tr *simulation) setBack(at time.Time) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.backs = append(tr.backs, at)
}

// deceived reports whether a replica may take a token for younger than it is: the clock
// of Redis went back less than two lifetimes ago. Within the first, a replica may adopt
// a token from before; then it holds it for a lifetime at most. It is the one condition
// of guarantee 6.
func (tr *simulation) deceived() bool {
	ttl := tr.ttl()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.ContainsFunc(tr.backs, func(at time.Time) bool {
		since := time.Since(at)
		return since >= 0 && since <= 2*ttl
	})
}

// wentBack reports whether the clock of Redis has gone back.
func (tr *simulation) wentBack() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.ContainsFunc(tr.backs, func(at time.Time) bool { return !at.After(time.Now()) })
}

// ttl is how long tokens live.
func (tr *simulation) ttl() (ttl time.Duration) {
	tr.tenant.Update(func(c *auth0test.Config) { ttl = c.TTL })
	return ttl
}

// all returns the replicas that live. If none does, one joins.
func (tr *simulation) all() []*member {
	tr.mu.Lock()
	crew := slices.Clone(tr.crew)
	tr.mu.Unlock()
	if len(crew) == 0 {
		crew = append(crew, tr.join())
	}
	return crew
}

func (tr *simulation) any(luck *rand.Rand) *member {
	crew := tr.all()
	return crew[luck.IntN(len(crew))]
}

// renewer returns the replica that holds the lease.
func (tr *simulation) renewer() *member {
	for _, m := range tr.all() {
		value, _ := tr.m.Get(m.source.client.names.Lock)
		if strings.Contains(value, m.cache.locker.ID()) {
			return m
		}
	}
	return nil
}

// set sets the wall clock of a replica.
func (m *member) set(by time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offset += by
	m.clockSet = time.Now()
}

// A schedule is what happens in a fleet's life, and the options that it runs with.
type schedule struct {
	replicas int
	tokens   int // that each replica wants
	ttl      time.Duration
	horizon  time.Duration
	cfg      auth0test.Config
	opts     Options
	tight    bool          // the quota may not allow for what happens
	delay    time.Duration // of each command to Redis
	events   []planned
}

// String says what it runs with.
func (s schedule) String() string {
	o := s.opts
	return fmt.Sprintf("%d replicas, %d tokens of %v for %v, quota %d/%d, latency %v, Redis %v, RenewBefore %v, RequestTimeout %v, Subscribe %v, budget %+v",
		s.replicas, s.tokens, s.ttl, s.horizon, s.cfg.PerHour, s.cfg.PerDay, s.cfg.Latency, s.delay, o.RenewBefore, o.RequestTimeout, o.Subscribe, o.RedisDownBudget)
}

type planned struct {
	at, lasts time.Duration
	injection injection
}

// draw makes a schedule: the options, and two or three injections, most of them around a
// cold start or a renewal.
func draw(seed uint64) schedule {
	luck := rand.New(rand.NewPCG(seed, 0))
	options := rand.New(rand.NewPCG(seed, 2))
	kinds := injections
	if plain := slices.Contains(known, seed); plain { // drawn before options were
		kinds, options = kinds[:len(kinds)-1], nil
	}
	s := schedule{
		replicas: []int{1, 2, 3, 5, 8, 12, 20, 50}[luck.IntN(8)],
		ttl:      []time.Duration{10 * time.Minute, time.Hour, 10 * time.Hour, 10 * time.Hour, 24 * time.Hour, 24 * time.Hour}[luck.IntN(6)],
	}
	s.tokens, s.horizon = 1, 3*s.ttl
	s.cfg = auth0test.Config{TTL: s.ttl, Latency: time.Duration(50+luck.IntN(1000)) * time.Millisecond}
	if luck.IntN(2) == 0 {
		s.cfg.PerHour, s.cfg.PerDay = 42, 100
	}
	if options != nil && options.IntN(2) == 0 {
		s.drawOptions(options)
	}
	terms := s.terms()
	period := s.ttl - terms.Window(s.ttl)
	for range 2 + luck.IntN(2) {
		e := planned{injection: kinds[luck.IntN(len(kinds))]}
		e.at = time.Duration(luck.IntN(3))*period + time.Duration(luck.ExpFloat64()*float64(3*time.Second)) - time.Duration(luck.IntN(2000))*time.Millisecond
		if luck.IntN(5) == 0 {
			e.at = time.Duration(luck.Int64N(int64(s.horizon / 2)))
		}
		e.at = max(e.at, 0)
		e.lasts = time.Duration(luck.ExpFloat64() * float64([]time.Duration{100 * time.Millisecond, 20 * time.Second, 10 * time.Minute}[luck.IntN(3)]))
		e.lasts = min(e.lasts, s.horizon/4)
		s.events = append(s.events, e)
	}
	slices.SortFunc(s.events, func(a, b planned) int { return int(a.at - b.at) })
	return s
}

// drawOptions draws what an operator may set, and a provider may do.
func (s *schedule) drawOptions(luck *rand.Rand) {
	between := func(from, to time.Duration) time.Duration { // as likely short as long
		return time.Duration(float64(from) * math.Pow(float64(to)/float64(from), luck.Float64())).Round(time.Millisecond)
	}
	s.ttl = between(5*time.Second, 30*24*time.Hour).Round(time.Second)
	s.opts.RequestTimeout = between(minRequestTimeout, time.Minute)
	s.opts.Subscribe = luck.IntN(2) == 0
	s.tokens = 1 + luck.IntN(5)
	s.replicas = min(s.replicas, 12)
	if luck.IntN(2) == 0 {
		s.opts.RenewBefore = between(s.ttl/100, 2*s.ttl)
	}
	if luck.IntN(4) == 0 {
		s.opts.RedisDownBudget = &RedisDownBudget{Requests: 1 + luck.IntN(3), Spread: between(time.Millisecond, time.Minute)}
	}
	// A renewal has to fit into the window, and a lease: two reads, an admission, a
	// request and a commit. What does not fit is another story.
	terms := s.terms()
	fits := min(terms.RequestTimeout, terms.Window(s.ttl)/time.Duration(s.tokens))
	s.cfg = auth0test.Config{TTL: s.ttl, Latency: min(2*time.Second, time.Duration(luck.Int64N(int64(fits/4))))}
	if luck.IntN(2) == 0 {
		s.delay = min(300*time.Millisecond, time.Duration(luck.Int64N(int64(fits/40))))
	}
	s.horizon = max(3*s.ttl, min(40*s.ttl, 15*time.Minute), 10*terms.Lease)
	if s.horizon > 20*s.ttl { // each life costs the same, however short
		s.replicas = min(s.replicas, 4)
	}
	// A quota that suffices without a fault, if only just.
	period := s.ttl - terms.Window(s.ttl) - s.cfg.Latency
	hour, day := s.tokens*int(time.Hour/period+2), s.tokens*int(24*time.Hour/period+2)
	if luck.IntN(2) == 0 && hour <= 100 {
		s.cfg.PerHour = max(2, hour*5/4+1) + luck.IntN(101-min(100, hour))
		s.cfg.PerDay = max(s.cfg.PerHour, day*5/4+2)
		s.tight = true
	}
}

func (s *schedule) terms() replica.Terms {
	opts, _, _ := s.opts.complete()
	return replica.Terms{RenewBefore: opts.RenewBefore, RequestTimeout: opts.RequestTimeout, Lease: 2 * opts.RequestTimeout}
}

// run lets it happen.
func (s schedule) run(tr *simulation, luck *rand.Rand) {
	var wg sync.WaitGroup
	for _, e := range s.events {
		time.Sleep(time.Until(tr.began.Add(e.at)))
		tr.cost(e.injection.requests, e.injection.leases)
		tr.losses += e.injection.losses
		if budget := s.opts.RedisDownBudget; budget != nil { // each replica may spend it while Redis is unreachable
			n := s.replicas * budget.Requests * (1 + int(e.lasts/time.Hour))
			tr.cost(n, n)
			tr.losses += n
		}
		tr.note("%s, for %v", e.injection.name, e.lasts.Round(time.Millisecond))
		end := e.injection.strike(tr, luck, e.lasts)
		if end == nil {
			continue
		}
		wg.Go(func() {
			time.Sleep(e.lasts)
			tr.note("%s: over", e.injection.name)
			end()
		})
	}
	wg.Wait()
	tr.mu.Lock()
	tr.over = time.Now()
	tr.mu.Unlock()
	time.Sleep(time.Until(tr.began.Add(s.horizon)))
}

func TestChaos(t *testing.T) {
	tell := func(t *testing.T, seed uint64) schedule {
		s := draw(seed)
		cfg := s.cfg
		story(t, &cfg, s.opts, func(f *fleet) {
			f.wants, f.tight, f.delay = s.tokens, s.tight, s.delay
			f.try(s.replicas, max(s.ttl/100, s.horizon/2000), func(tr *simulation) {
				tr.quotaKnown = cfg.PerHour+cfg.PerDay > 0
				tr.note("seed %d: %v", seed, s)
				s.run(tr, rand.New(rand.NewPCG(seed, 1)))
			})
		})
		return s
	}
	if *oneSeed != 0 {
		tell(t, *oneSeed)
		return
	}
	seeded := slices.Concat(knownWithOptions, known)
	if testing.Short() {
		seeded = knownWithOptions
	}
	for _, seed := range seeded {
		t.Run(fmt.Sprint("known ", seed), func(t *testing.T) { t.Parallel(); tell(t, seed) })
	}
	seeds := make(chan uint64)
	stop := make(chan struct{})
	go func() {
		defer close(seeds)
		first := uint64(rand.Uint32()) + 1
		for days := 0.0; days < cmp.Or(*fleetDays, size(100.0, 20)); first++ {
			select {
			case seeds <- first:
			case <-stop:
				return
			}
			days += draw(first).horizon.Hours() / 24
		}
	}()
	t.Cleanup(func() { close(stop) })
	for i := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint("lane ", i), func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { tell(t, seed) }) {
					return
				}
			}
		})
	}
}
