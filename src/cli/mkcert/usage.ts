/** The help, which is also printed for a command line without names. */
export const usage = `Usage of rootling-mkcert, which takes mkcert's flags:

	$ rootling-mkcert -install
	Trust the local CA in the stores of this machine; made when there is none.

	$ rootling-mkcert shop.test localhost 127.0.0.1 ::1
	Write "shop.test+3.pem" and "shop.test+3-key.pem".

	$ rootling-mkcert "*.shop.test"
	Write "_wildcard.shop.test.pem" and "_wildcard.shop.test-key.pem".

	$ rootling-mkcert -uninstall
	Take the local CA out of the stores; its files stay.

Further flags:

	-cert-file FILE, -key-file FILE, -p12-file FILE
	    Where the files go.

	-client
	    A certificate that a client shows to a server.

	-ecdsa
	    A P-256 key instead of RSA.

	-pkcs12
	    A ".p12" file, password "changeit", instead of the two PEM files.

	-csr FILE
	    Sign the key of this certification request. Goes with -install and -cert-file.

	-CAROOT
	    Print the directory of the local CA.

	-version

Environment:

	CAROOT        The directory of the local CA.
	TRUST_STORES  Which stores to use: system, java, nss (the browsers), with commas; or none.
	JAVA_HOME     A Java to use beside those that are found.
`
