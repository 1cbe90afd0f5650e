// Judges chains with crypto/x509. Each line of standard input is tab-separated: root file, file of
// intermediates, leaf file, use, type of name (dns, ip, email, uri), name (empty: any). Prints a line
// for each: "accepted" or "refused: " and the reason.
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

var usages = map[string]x509.ExtKeyUsage{
	"server": x509.ExtKeyUsageServerAuth,
	"client": x509.ExtKeyUsageClientAuth,
	"mail":   x509.ExtKeyUsageEmailProtection,
	"code":   x509.ExtKeyUsageCodeSigning,
	"time":   x509.ExtKeyUsageTimeStamping,
	"ocsp":   x509.ExtKeyUsageOCSPSigning,
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
	options.KeyUsages = []x509.ExtKeyUsage{usages[field[3]]}
	name := field[5]
	switch {
	case name == "":
	case field[4] == "dns", field[4] == "ip":
		options.DNSName = name
	case field[4] == "email":
		if !contains(leaf.EmailAddresses, name) {
			return errors.New("certificate is not valid for " + name)
		}
	case field[4] == "uri":
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
