package tokencache

import "testing"

// What calls for a person says what to do, and what passes says nothing.
func TestClasses(t *testing.T) {
	for class, permanent := range map[Class]bool{
		ClassCredentials: true, ClassAudience: true, ClassGrant: true, ClassClient: true, ClassRequest: true, ClassEndpoint: true,
		ClassQuota: false, ClassLimit: false, ClassTenant: false, ClassGateway: false, ClassUnavailable: false,
		ClassMalformed: false, ClassUnreachable: false, ClassNoAnswer: false, "": false, "unheard-of": false,
	} {
		if class.Permanent() != permanent || (class.Advice() != "") != permanent {
			t.Errorf("%q: got permanent %v, advice %q, want %v", class, class.Permanent(), class.Advice(), permanent)
		}
	}
}
