package tokencache

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/fleettoken/fleettoken/e2e/canary"
	"github.com/fleettoken/fleettoken/lock"
	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/auth0test"
	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// everyTypeIsPrinted prints a value of every exported type, as it is after a
// fleet has lived a little, in every way that there is. A type that is new has to
// be added here.
func everyTypeIsPrinted(t *testing.T) {
	key := []byte(canary.New())[:store.EncryptionKeySize]
	var mu sync.Mutex
	var values []any
	note := func(v any) { mu.Lock(); defer mu.Unlock(); values = append(values, v) }
	var logs bytes.Buffer
	opts := Options{
		EncryptionKeys: [][]byte{key}, RedisDownBudget: &RedisDownBudget{},
		Logger: slog.New(slog.NewJSONHandler(&lockedWriter{w: &logs}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Hooks: &Hooks{
			Requested: func(i RequestedInfo) { note(i) }, Adopted: func(i AdoptedInfo) { note(i) }, Denied: func(i DeniedInfo) { note(i) },
		},
	}
	story(t, &auth0test.Config{TTL: time.Hour, PerHour: 42, PerDay: 100}, opts, func(f *fleet) {
		r := f.start(1)[0]
		s := r.source
		f.token(r)
		fails := func(err error) {
			for ; err != nil; err = errors.Unwrap(err) {
				note(err)
				if failed, ok := errors.AsType[*RequestError](err); ok {
					note(failed)
				}
				if retrieve, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
					note(retrieve)
				}
			}
		}
		f.tenant.Inject(1, auth0test.Fault{Status: 400, Body: `{"error":"` + f.secret + `"}`})
		fails(s.Rotate(f.t.Context()))
		fails(s.Rotate(f.t.Context()))
		time.Sleep(10 * time.Minute)
		attempt := s.client.attempt(&s.source, replica.Request{Priority: quota.Need, Reason: replica.Cold})
		admission, err := s.client.ledger.Admit(f.t.Context(), attempt)
		if err != nil {
			f.t.Fatal(err)
		}
		done := s.client.ask(f.t.Context(), &s.source, time.Minute, attempt, false)
		answer := done.report.Answer
		status, err := s.Status(f.t.Context())
		if err != nil || len(status.Journal) < 2 || len(status.Quota.Windows) != 2 {
			f.t.Fatalf("got %+v, %v", status, err)
		}
		limits, _ := quota.ClientLimits(answer.Header)
		err = r.cache.locker.Do(f.t.Context(), "key", func(ctx context.Context, lease *lock.Lease) error {
			note(lease)
			return r.cache.locker.Do(ctx, "key", nil)
		})
		held, _ := errors.AsType[*lock.HeldError](err)
		holder, _, _ := r.cache.locker.Holder(f.t.Context(), s.client.names.Lock)
		block := quota.Block{Scope: s.scopes.Credentials, Reason: quota.Reason(ClassCredentials), Wait: time.Second}
		for _, v := range []any{
			s, r.cache, s.cred, opts, r.cache.opts, Options{EncryptionKeys: opts.EncryptionKeys}, *opts.RedisDownBudget, *opts.Hooks, status, *status.Fleet, LeaseStatus{Holder: holder.ID}, ClassCredentials, ReasonCold, s.cred.Encoding,
			RedisTransient, ConfigError{Field: "Credentials.ClientID", Problem: "is empty", Advice: "set it"}, RedisInfo{Client: s.client.reporter.label, Err: redisError(errUnplugged)}, redisError(errUnplugged), &Error{Op: "token", Client: s.client.reporter.label, Err: ErrEncryptionKey},
			*attempt, answer, admission, status.Quota, quota.Snapshot{Blocked: status.Quota.Blocks}, status.Quota.Windows[0], status.Journal[0], limits, limits[0], block, quota.Blocked{Scope: block.Scope, Reason: block.Reason},
			block.Scope, block.Reason, quota.Issued, quota.Need, s.client.ledger, quota.Options{Journal: s.client.names.Journal}, quota.Condition{Key: "k", Value: "v"}, quota.PendingAdmission{},
			&quota.DeniedError{Scope: quota.Client, Reason: quota.Spent}, r.cache.locker, lock.Options{Replica: "r"}, holder, held,
		} {
			note(v)
		}
		shown := bytes.NewBuffer(logs.Bytes())
		seen := make(map[string]bool)
		for _, v := range values {
			typ := reflect.TypeOf(v)
			if typ.Kind() == reflect.Pointer {
				typ = typ.Elem()
			}
			seen[typ.String()] = true
			printed(shown, v)
		}
		for _, name := range exported(f.t, "tokencache", "quota", "lock") {
			if !seen[name] {
				f.t.Errorf("nobody has printed a %s: add one to this test", name)
			}
		}
		if len(f.tenant.Tokens()) < 2 || logs.Len() == 0 || shown.Len() < 100000 {
			f.t.Fatalf("got %d tokens, %d bytes of log, %d in all: too little to prove anything", len(f.tenant.Tokens()), logs.Len(), shown.Len())
		}
		canary.Check(f.t, "what was printed", canary.In(shown.Bytes()), f.secrets()...)
		canary.Check(f.t, "Redis", canary.In(f.stored()), f.secrets()...)
	})
}

// printed writes v in every way that there is: alone, by a pointer, and within
// others.
func printed(w *bytes.Buffer, v any) {
	pointer := reflect.New(reflect.TypeOf(v))
	pointer.Elem().Set(reflect.ValueOf(v))
	ways := []any{v, pointer.Interface(), struct{ V any }{v}, []any{v}, map[string]any{"k": v}}
	if err, ok := v.(error); ok {
		ways = append(ways, fmt.Errorf("wrapped: %w", err), errors.Join(err))
	}
	for _, way := range ways {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(w, verb+"\n", way)
		}
		if data, err := json.Marshal(way); err == nil {
			w.Write(data)
		}
		if data, err := xml.Marshal(way); err == nil {
			w.Write(data)
		}
		slog.New(slog.NewTextHandler(w, nil)).Info("x", "v", way)
		slog.New(slog.NewJSONHandler(w, nil)).Info("x", "v", way)
	}
}

// exported returns the exported types of some packages of this module, but for
// interfaces, which are what others bring.
func exported(t *testing.T, packages ...string) []string {
	t.Helper()
	var names []string
	for _, name := range packages {
		files, err := filepath.Glob("../" + name + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("no files of package %s: %v", name, err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				decl, ok := d.(*ast.GenDecl)
				if !ok {
					continue
				}
				for _, spec := range decl.Specs {
					typ, ok := spec.(*ast.TypeSpec)
					if !ok || !typ.Name.IsExported() {
						continue
					}
					if _, brought := typ.Type.(*ast.InterfaceType); !brought {
						names = append(names, name+"."+typ.Name.Name)
					}
				}
			}
		}
	}
	return names
}
