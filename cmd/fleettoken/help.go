package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// newHelpCommand is the help command of cobra, but that it does not take the
// help for a command that does not exist to be that of the root.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return knownCommand(cmd.Root(), args)
			}
			about.InitDefaultHelpFlag() // so that it is shown, too
			return about.Help()
		},
	}
}

// addCompletion adds the completion command of cobra, but that it does not take
// the name of a shell that it does not know for a cry for help.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args, cmd.RunE, cmd.SuggestionsMinimumDistance = knownCommand, root.RunE, root.SuggestionsMinimumDistance
		}
	}
}

// noArguments refuses arguments, as a command has none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return misused("%s takes no arguments, and there is %q", cmd.Name(), args[0])
}

// knownCommand refuses what is no command, and says which one may be meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	f := misused("unknown command %q", args[0])
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		slices.Sort(meant)
		path := cmd.CommandPath() + " "
		f.problems[0].hints = []string{"did you mean '" + path + strings.Join(meant, "' or '"+path) + "'"}
	}
	return f
}
