import { expect, test } from 'vitest'
import { complaintIn } from '../../src/doctor/runtimes.ts'

// As curl, Ruby, Python, wget and git with GnuTLS, PHP and Node of Debian 12 wrote it; the lines of a
// wget with OpenSSL are those of its source.

test.for([
  [
    `curl: (60) SSL certificate problem: unable to get local issuer certificate
More details here: https://curl.se/docs/sslcerts.html

curl failed to verify the legitimacy of the server and therefore could not
establish a secure connection to it. To learn more about this situation and
how to fix it, please visit the web page mentioned above.`,
    'SSL certificate problem: unable to get local issuer certificate.',
  ],
  [
    "/usr/lib/ruby/3.1.0/net/protocol.rb:46:in `connect_nonblock': SSL_connect returned=1 errno=0 peeraddr=127.0.0.1:18455 state=error: certificate verify failed (unable to get local issuer certificate) (OpenSSL::SSL::SSLError)\n\tfrom /usr/lib/ruby/3.1.0/net/http.rb:1048:in `connect'\n\tfrom -e:1:in `<main>'",
    'certificate verify failed: unable to get local issuer certificate.',
  ],
  [
    `Traceback (most recent call last):
  File "<string>", line 2, in <module>
requests.exceptions.SSLError: HTTPSConnectionPool(host='localhost', port=18455): Max retries exceeded with url: / (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate (_ssl.c:1006)')))`,
    'certificate verify failed: unable to get local issuer certificate.',
  ],
  [
    'urllib.error.URLError: <urlopen error [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate (_ssl.c:1006)>',
    'certificate verify failed: unable to get local issuer certificate.',
  ],
  [
    "ERROR: cannot verify localhost's certificate, issued by ‘CN=x’:\n  Unable to locally verify the issuer's authority.\nTo connect to localhost insecurely, use `--no-check-certificate'.",
    "ERROR: cannot verify localhost's certificate, issued by ‘CN=x’: Unable to locally verify the issuer's authority.",
  ],
  [
    "ERROR: The certificate of ‘localhost’ is not trusted.\nERROR: The certificate of ‘localhost’ doesn't have a known issuer.",
    'ERROR: The certificate of ‘localhost’ is not trusted.',
  ],
  [
    "fatal: unable to access 'https://localhost:18455/': server certificate verification failed. CAfile: /etc/ssl/certs/ca-certificates.crt CRLfile: none",
    "fatal: unable to access 'https://localhost:18455/': server certificate verification failed. CAfile: /etc/ssl/certs/ca-certificates.crt CRLfile: none.",
  ],
  [
    'file_get_contents(): SSL operation failed with code 1. OpenSSL Error messages:\nerror:0A000086:SSL routines::certificate verify failed\nfile_get_contents(): Failed to enable crypto',
    'error:0A000086:SSL routines::certificate verify failed.',
  ],
  [
    'Error: unable to get local issuer certificate',
    'Error: unable to get local issuer certificate.',
  ],
  ['a line\nThe last line\n\n', 'The last line.'],
  ['\n', ''],
] as const)('of %j the complaint is said', ([text, said]) => {
  expect(complaintIn(text)).toBe(said)
})
