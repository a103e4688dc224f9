// Package pliant has the two environments of the Pliant partner API as values:
// where its tokens come from, which audience they are for, and where the API is.
//
// Source: the provider's page "Authenticated API Usage".
package pliant

import "github.com/fleettoken/fleettoken/tokencache"

// An Environment is one of the provider's two.
type Environment struct {
	// Name is "production" or "sandbox".
	Name string

	// TokenURL is the token endpoint.
	TokenURL string

	// Audience is what a token request asks for.
	Audience string

	// APIBase is where the API is, and PCIBase the part of it that handles card
	// data.
	APIBase string
	PCIBase string
}

// Production is the environment for live traffic, and Sandbox the one to try
// things in. A client of the one is unknown to the other.
var (
	Production = Environment{
		Name:     "production",
		TokenURL: "https://infinnityprodinternal.eu.auth0.com/oauth/token",
		Audience: "api.getpliant.com/api/integration",
		APIBase:  "https://partner-api.getpliant.com/api/",
		PCIBase:  "https://pci-api.getpliant.com",
	}
	Sandbox = Environment{
		Name:     "sandbox",
		TokenURL: "https://infinnitystaginginternal.eu.auth0.com/oauth/token",
		Audience: "api.staging.infinnitytest.com/api/integration",
		APIBase:  "https://sandbox.partner-api.getpliant.com/api/",
		PCIBase:  "https://pci-sandbox.partner-api.getpliant.com/",
	}
)

// OldSandboxAudience is the audience that the provider's older page gives for
// the sandbox. The newer page has replaced it by that of [Sandbox]; use it only
// if the provider tells you to:
//
//	cred := pliant.Sandbox.Credentials(id, secret)
//	cred.Audience = pliant.OldSandboxAudience
const OldSandboxAudience = "api.staging.v2.infinnitytest.com/api/integration"

// Credentials returns the credentials of a client in e. One token is valid for
// all organizations that the client was authorized for.
func (e Environment) Credentials(clientID, clientSecret string) tokencache.Credentials {
	return tokencache.Credentials{
		TokenURL:     e.TokenURL,
		ClientID:     clientID,
		ClientSecret: clientSecret,
		Audience:     e.Audience,
	}
}
