package auth0test_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/fleettoken/fleettoken/tokencache/auth0test"
)

// A service that fetches a token and keeps it, to be tested.
type service struct {
	client   *http.Client
	tokenURL string
	token    string
	until    time.Time
}

func (s *service) Token() (string, error) {
	if time.Now().Before(s.until) {
		return s.token, nil
	}
	asked := time.Now()
	resp, err := s.client.Post(s.tokenURL, "application/json", strings.NewReader(`{
		"client_id": "test-client", "client_secret": "test-secret",
		"audience": "https://api.example.com/", "grant_type": "client_credentials"}`))
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("no token: %s, retry after %s seconds", resp.Status, resp.Header.Get("Retry-After"))
	}
	var answer struct {
		Token     string `json:"access_token"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", err
	}
	s.token, s.until = answer.Token, asked.Add(time.Duration(answer.ExpiresIn)*time.Second)
	return s.token, nil
}

// A test points the code under test at the server, lets it work, and asks the
// ledger what it did.
func Example() {
	tenant := auth0test.NewServer(&auth0test.Config{PerHour: 42, PerDay: 100})
	defer tenant.Close()
	svc := &service{client: tenant.Client(), tokenURL: tenant.TokenURL()}

	for range 1000 {
		if _, err := svc.Token(); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("token requests for 1000 uses:", len(tenant.Requests()))
	fmt.Println("the token is", tenant.Check(svc.token))

	// The endpoint refuses the next request, as if others had spent the quota.
	tenant.Inject(1, auth0test.QuotaExceeded(30*time.Minute))
	svc.until = time.Time{}
	_, err := svc.Token()
	fmt.Println(err)

	// Output:
	// token requests for 1000 uses: 1
	// the token is valid
	// no token: 429 Too Many Requests, retry after 1800 seconds
}
