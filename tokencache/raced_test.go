//go:build race

package tokencache

const raced = true
