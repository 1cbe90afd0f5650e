// Stands for a program of Windows under Wine, where ours starts it by its path: runs the simulator of
// its name with Node and passes on its exit code. Writes its own path to a log first, so that a test
// sees which programs ran, planted ones too.
package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	self, _ := os.Executable()
	log, err := os.OpenFile(os.Getenv("SIM_LOG"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		log.WriteString(self + "\n")
		log.Close()
	}
	name := strings.ToLower(strings.TrimSuffix(filepath.Base(self), filepath.Ext(self)))
	script := os.Getenv("SIM_DIR") + `\windows-` + name + ".mjs"
	cmd := exec.Command(os.Getenv("SIM_NODE"), append([]string{script}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			os.Exit(exit.ExitCode())
		}
		os.Stderr.WriteString(err.Error())
		os.Exit(111)
	}
}
