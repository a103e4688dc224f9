package main

import (
	"encoding/json"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fleettoken/fleettoken/tokencache/fromenv"
)

// What docker-compose.yml tells the programs to do is what they can do. The
// lists in that file are JSON, which is YAML too, so that it is easily read here.
func TestCompose(t *testing.T) {
	data, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	file := string(data)

	commands := 0
	for _, list := range regexp.MustCompile(`(?m)^ +(?:command|test|entrypoint): (\[.*\])$`).FindAllStringSubmatch(file, -1) {
		var argv []string
		if err := json.Unmarshal([]byte(list[1]), &argv); err != nil {
			t.Errorf("%s is no JSON: %v", list[1], err)
			continue
		}
		if len(argv) > 0 && argv[0] == "CMD" {
			argv = argv[1:]
		}
		if len(argv) > 0 && path.Base(argv[0]) == "fleettoken" {
			argv = argv[1:]
		}
		if len(argv) == 0 || argv[0] != "emulate" {
			continue
		}
		commands++
		a, _ := newTestApp(nil)
		cmd, rest, err := newRootCommand(a).Find(argv)
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil {
			t.Errorf("fleettoken does not take %q: %v", argv, err)
		}
	}
	if commands != 2 { // that it serves, and its health
		t.Errorf("got %d commands of fleettoken, want 2", commands)
	}

	service, err := os.ReadFile("../example-service/main.go")
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]string)
	for _, entry := range regexp.MustCompile(`(?m)^ +([A-Z][A-Z_]+): (.+)$`).FindAllStringSubmatch(file, -1) {
		name := entry[1]
		values[name] = entry[2]
		if strings.HasPrefix(name, fromenv.Prefix) && !slices.Contains(fromenv.Settings(), name) {
			t.Errorf("%s is no setting", name)
		}
		if name != "SSL_CERT_DIR" && !strings.HasPrefix(name, fromenv.Prefix) && !strings.Contains(string(service), `"`+name+`"`) {
			t.Errorf("the example service does not read %s", name)
		}
	}
	a, _ := newTestApp(values)
	if _, err := a.config(); err != nil {
		t.Errorf("the environment of the example service: %v", err)
	}
}
