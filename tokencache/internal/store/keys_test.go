package store

import (
	"strings"
	"testing"
)

func TestHash(t *testing.T) {
	lists := [][]string{
		{}, {""}, {"", ""}, {"ab", "c"}, {"a", "bc"}, {"abc"}, {"a", "b", "c"}, {"c", "ab"}, {"ab\x00c"}, {"ab", "c", ""},
	}
	seen := make(map[string][]string)
	for _, list := range lists {
		name := Hash(list...)
		if other, ok := seen[name]; ok {
			t.Errorf("Hash(%q) and Hash(%q) are both %s", list, other, name)
		}
		seen[name] = list
		if again := Hash(list...); again != name {
			t.Errorf("Hash(%q): got %s, then %s", list, name, again)
		}
	}
}

func TestNamesTellNothing(t *testing.T) {
	c := NamesFor("fleet", "https://tenant.example/oauth/token", "client}{id")
	tag := c.Lock[strings.IndexByte(c.Lock, '{') : strings.IndexByte(c.Lock, '}')+1]
	for _, key := range []string{c.Lock, c.Quota, c.Journal, c.Channel, c.token("t"), c.floor("t")} {
		if !strings.HasPrefix(key, "fleet:"+tag+":") || strings.Count(key, "{") != 1 || strings.Count(key, "}") != 1 {
			t.Errorf("key %q: want the prefix fleet:%s: and no other braces", key, tag)
		}
		if strings.Contains(key, "tenant") || strings.Contains(key, "client") {
			t.Errorf("key %q tells what it stands for", key)
		}
	}
	if other := NamesFor("fleet", "https://tenant.example/oauth/token", "other"); other.Lock == c.Lock {
		t.Errorf("two clients share the key %s", c.Lock)
	}
}
