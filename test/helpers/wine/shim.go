// Stands for a program of Windows under Wine, where ours starts it by its path: runs the simulator of
// its name and passes on its exit code. The driver runs it in a thread, since another Node takes
// seconds to start under Wine; but not where the simulator reads its standard input. Writes its own
// path to a log first, so that a test sees which programs ran, planted ones too.
package main

import (
	"encoding/json"
	"fmt"
	"net"
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
	code := 111
	if name == "powershell" {
		code, err = start(script)
	} else {
		code, err = ask(script)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func start(script string) (int, error) {
	cmd := exec.Command(os.Getenv("SIM_NODE"), append([]string{script}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 111, err
	}
	return 0, nil
}

func ask(script string) (int, error) {
	driver, err := net.Dial("tcp", "127.0.0.1:"+os.Getenv("SIM_PORT"))
	if err != nil {
		return 111, err
	}
	request := map[string]any{"simulator": script, "args": os.Args[1:]}
	if err := json.NewEncoder(driver).Encode(request); err != nil {
		return 111, err
	}
	answers := json.NewDecoder(driver)
	for {
		var answer struct {
			Stdout, Stderr string
			ExitCode       *int
		}
		if err := answers.Decode(&answer); err != nil {
			return 111, err
		}
		os.Stdout.WriteString(answer.Stdout)
		os.Stderr.WriteString(answer.Stderr)
		if answer.ExitCode != nil {
			return *answer.ExitCode, nil
		}
	}
}
