// Judges chains with crypto/x509. Each line of standard input is tab-separated: root file, file of
// intermediates, leaf file, type of name (dns, ip, email, uri), name. Prints a line for each:
// "accepted" or "refused: " and the reason.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := judge(strings.Split(lines.Text(), "\t")); err != nil {
			fmt.Println("refused:", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("accepted")
		}
	}
}

func judge(field []string) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for pool, file := range map[*x509.CertPool]string{roots: field[0], intermediates: field[1]} {
		if !pool.AppendCertsFromPEM(read(file)) {
			return errors.New("unreadable issuers")
		}
	}
	block, _ := pem.Decode(read(field[2]))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: intermediates}
	name := field[4]
	switch field[3] {
	case "dns", "ip":
		options.DNSName = name
	case "email":
		options.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
		if !contains(leaf.EmailAddresses, name) {
			return errors.New("certificate is not valid for " + name)
		}
	case "uri":
		if len(leaf.URIs) != 1 || leaf.URIs[0].String() != name {
			return errors.New("certificate is not valid for " + name)
		}
	}
	_, err = leaf.Verify(options)
	return err
}

func read(file string) []byte {
	contents, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	return contents
}

func contains(all []string, one string) bool {
	for _, each := range all {
		if each == one {
			return true
		}
	}
	return false
}
