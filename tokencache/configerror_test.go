package tokencache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fleettoken/fleettoken/quota"
	"github.com/fleettoken/fleettoken/tokencache/internal/endpoint"
)

// fieldsOf returns the fields of the ConfigErrors that an error joins.
func fieldsOf(t *testing.T, err error) (fields []string) {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%v joins nothing", err)
	}
	for _, err := range joined.Unwrap() {
		e, ok := err.(*ConfigError)
		if !ok {
			t.Fatalf("%v is not a ConfigError", err)
		}
		if e.Field == "" || e.Problem == "" || e.Advice == "" || e.Error() != e.Field+" "+e.Problem+": "+e.Advice {
			t.Errorf("incomplete: %#v", e)
		}
		fields = append(fields, e.Field)
	}
	return fields
}

// Each option out of its range is refused by the name of its field, and none makes New
// panic.
func TestOptionsValidate(t *testing.T) {
	key := bytes.Repeat([]byte{1}, 32)
	for _, row := range []struct {
		options *Options
		want    []string
	}{
		{nil, nil},
		{&Options{}, nil},
		{&Options{RenewBefore: time.Hour, RequestTimeout: 500 * time.Millisecond, RedisTimeout: 1, MaxWait: time.Hour, EncryptionKeys: [][]byte{key}, RedisDownBudget: &RedisDownBudget{}}, nil},
		{&Options{RenewBefore: -1}, []string{"Options.RenewBefore"}},
		{&Options{RenewBefore: math.MaxInt64}, []string{"Options.RenewBefore"}},
		{&Options{RequestTimeout: time.Millisecond}, []string{"Options.RequestTimeout"}},
		{&Options{RequestTimeout: -time.Second}, []string{"Options.RequestTimeout"}},
		{&Options{RequestTimeout: math.MaxInt64}, []string{"Options.RequestTimeout"}},
		{&Options{RedisTimeout: -1}, []string{"Options.RedisTimeout"}},
		{&Options{RedisTimeout: math.MaxInt64}, []string{"Options.RedisTimeout"}},
		{&Options{MaxWait: -1}, []string{"Options.MaxWait"}},
		{&Options{MaxWait: math.MaxInt64}, []string{"Options.MaxWait"}},
		{&Options{Prefix: "a b"}, []string{"Options.Prefix"}},
		{&Options{RedisDownBudget: &RedisDownBudget{Requests: -1, Spread: -1}}, []string{"Options.RedisDownBudget.Requests", "Options.RedisDownBudget.Spread"}},
		{&Options{RedisDownBudget: &RedisDownBudget{Spread: math.MaxInt64}}, []string{"Options.RedisDownBudget.Spread"}},
		{&Options{EncryptionKeys: [][]byte{key, nil, key[:31]}}, []string{"Options.EncryptionKeys[1]", "Options.EncryptionKeys[2]"}},
		{&Options{Prefix: "{", RequestTimeout: 1, MaxWait: -1}, []string{"Options.RequestTimeout", "Options.MaxWait", "Options.Prefix"}},
	} {
		err := row.options.Validate()
		got := fieldsOf(t, err)
		slices.Sort(got)
		slices.Sort(row.want)
		if !slices.Equal(got, row.want) {
			t.Errorf("%+v: got %q, want %q", row.options, got, row.want)
		}
		rdb := NewRedisClient(nil)
		cache, made := New(rdb, row.options)
		if (made == nil) != (err == nil) {
			t.Errorf("%+v: New returns %v, Validate %v", row.options, made, err)
		}
		if _, ok := errors.AsType[*ConfigError](made); ok != (err != nil) {
			t.Errorf("%+v: New returns %v, want a ConfigError", row.options, made)
		}
		if made == nil {
			_ = cache.Close()
		}
		_ = rdb.Close()
	}
}

func TestCredentialsValidate(t *testing.T) {
	good := Credentials{TokenURL: "https://tenant.test/oauth/token", ClientID: "id", ClientSecret: "secret"}
	if err := good.Validate(); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	plain := good
	plain.TokenURL = "http://127.0.0.1:1/oauth/token"
	if err := plain.Validate(); err != nil {
		t.Errorf("at a loopback address: got %v, want nil", err)
	}
	bad := Credentials{TokenURL: "http://tenant.test", ClientID: " ", ClientSecret: "\n", Encoding: -1, Scopes: []string{""}, Params: url.Values{"scope": nil}}
	want := []string{"Credentials.TokenURL", "Credentials.ClientID", "Credentials.ClientSecret", "Credentials.Encoding", "Credentials.Scopes", "Credentials.Params"}
	if got := fieldsOf(t, bad.Validate()); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A client that is nil in an interface is none.
func TestNewWithoutRedisClient(t *testing.T) {
	for _, rdb := range []redis.UniversalClient{nil, (*redis.Client)(nil), (*redis.ClusterClient)(nil)} {
		if _, err := New(rdb, nil); err == nil || !strings.Contains(err.Error(), "NewRedisClient") {
			t.Errorf("%T: got %v, want an error that says how to make one", rdb, err)
		}
	}
}

// The classes that call for a person say what to do, in words that are not only those of
// this library; and all that name fields name fields that exist.
func TestClassAdvice(t *testing.T) {
	fields := []string{"Credentials.TokenURL", "Credentials.ClientID", "Credentials.ClientSecret", "Credentials.Audience", "Credentials.Organization", "Credentials.Scopes", "Credentials.Params"}
	for _, c := range append(slices.Clone(classes), "unknown") {
		if c.Permanent() != (c.Advice() != "") || strings.Contains(c.Advice(), "Credentials.") {
			t.Errorf("%s: permanent: %v, advice %q", c, c.Permanent(), c.Advice())
		}
		if c.Permanent() && c.Fields() == nil {
			t.Errorf("%s names no field", c)
		}
		for _, field := range c.Fields() {
			if !slices.Contains(fields, field) {
				t.Errorf("%s: %s is not a field", c, field)
			}
		}
	}
}

// Only the end of the caller's own context looks like one: a request that took too long,
// and a Redis that did, are errors of their own.
func TestDeadlinesOfOthers(t *testing.T) {
	slow := &url.Error{Op: "Post", URL: "https://tenant.test", Err: context.DeadlineExceeded}
	request := newRequestError(endpoint.Answer{Err: slow}, endpoint.Verdict{Class: endpoint.ClassNoAnswer}, time.Time{})
	for _, err := range []error{request, redisError(context.DeadlineExceeded), redisError(slow), redisError(context.Canceled)} {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			t.Errorf("%v looks like the caller's deadline", err)
		}
	}
	left := redisError(&callerLeft{context.DeadlineExceeded})
	if !errors.Is(left, context.DeadlineExceeded) || !errors.Is(left, ErrRedis) {
		t.Errorf("%v does not look like the caller's deadline", left)
	}
	broken := redisError(os.ErrDeadlineExceeded)
	if !errors.Is(broken, os.ErrDeadlineExceeded) {
		t.Errorf("%v hides the network's error", broken)
	}
}

// Durations are seconds in JSON, and what is written can be read.
func TestStatusJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	status := Status{
		Client: "…0001", TokenURL: "https://tenant.test", TokenID: "id",
		Fleet: &TokenStatus{Issued: at, By: "r1", Lifetime: time.Hour, Age: 1500 * time.Millisecond, Remaining: time.Hour - 1500*time.Millisecond, Expires: at.Add(time.Hour), RenewFrom: at},
		Lease: &LeaseStatus{Holder: "r2", Remaining: 250 * time.Millisecond},
	}
	text, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"life":3600,`, `"age":1.5,`, `"left":3598.5,`, `"lease":{"holder":"r2","left":0.25}`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("got %s, want %s in it", text, want)
		}
	}
	var read Status
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if *read.Fleet != *status.Fleet || *read.Lease != *status.Lease {
		t.Errorf("got %+v, %+v, want what was written", read.Fleet, read.Lease)
	}
}

// The class of a failure is known from the request that failed, and from the block that it
// left.
func TestClassOf(t *testing.T) {
	for _, row := range []struct {
		err  error
		want Class
	}{
		{nil, ""},
		{errors.New("x"), ""},
		{&Error{Op: "token", Err: &RequestError{Class: ClassGrant}}, ClassGrant},
		{&Error{Op: "token", Err: &quota.DeniedError{Reason: quota.Reason(ClassCredentials), Count: 1}}, ClassCredentials},
		{&quota.DeniedError{Reason: quota.Spent, Bucket: "per_hour"}, ""},
		{&quota.DeniedError{Reason: quota.QuotaExceeded}, ClassQuota},
		{&quota.DeniedError{Reason: "of a newer version"}, ""},
	} {
		if got := ClassOf(row.err); got != row.want {
			t.Errorf("%v: got %q, want %q", row.err, got, row.want)
		}
	}
}
