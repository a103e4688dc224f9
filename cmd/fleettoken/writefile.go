package main

import (
	"errors"
	"os"
	"path/filepath"
)

// writeFile writes a file that others read at any time: they see the old one or
// the new one, and never a half.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".fleettoken-*")
	if failed, ok := errors.AsType[*os.PathError](err); ok {
		return failed.Err // the name that it tried says nothing to people
	}
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there any more if all went well
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
