// Asks a server over TLS 1.3 for the facts of the connection, and prints the answer.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
)

func main() {
	address, root := os.Args[1], os.Args[2]
	pem, err := os.ReadFile(root)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "localhost"})
	if err != nil {
		panic(err)
	}
	request := "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(connection, request); err != nil {
		panic(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(answer)
}
