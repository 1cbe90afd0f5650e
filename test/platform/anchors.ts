import { createAnchor } from '../../platform/pem.ts'

// Made by `openssl req -x509` with `-days 36500`, so that a test which only needs a root starts no
// program to get one. Nobody kept their keys.

/** A root that OpenSSL made: `/O=Rootling test/CN=A root for tests`. */
export const anchor = createAnchor(
  Buffer.from(
    `
MIIBvjCCAWOgAwIBAgIUffRGgHwdVFXqOWTQJNdxBN2QKgwwCgYIKoZIzj0EAwIw
MzEWMBQGA1UECgwNUm9vdGxpbmcgdGVzdDEZMBcGA1UEAwwQQSByb290IGZvciB0
ZXN0czAgFw0yNjExMjkwMjI5MTlaGA8yMTI2MTEwNTAyMjkxOVowMzEWMBQGA1UE
CgwNUm9vdGxpbmcgdGVzdDEZMBcGA1UEAwwQQSByb290IGZvciB0ZXN0czBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABB6bXUfBOUQIxXF3g2p0f1qjh2Kb3M57gIdt
C7G7RqUsdfrb4eN1AWkDejBtlNKd8NheK8s9eE8nVuDeEbnYjX2jUzBRMB0GA1Ud
DgQWBBSNvdZyqsWW4LgZOIN0xLhBp5bO6DAfBgNVHSMEGDAWgBSNvdZyqsWW4LgZ
OIN0xLhBp5bO6DAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQDc
LLQR1v8wJBEM1tRTEJY9Jk5mCqlOrVexGcPquFaqqgIhALFpksaDGc87o3QHphCR
15PVF2wharOUuT/SUMNZfgoO`,
    'base64',
  ),
)

/** Another root of the same name, with another key. */
export const otherAnchor = createAnchor(
  Buffer.from(
    `
MIIBvjCCAWOgAwIBAgIUe3vTj/4NViz7Zul2R3Wc6mzLJDowCgYIKoZIzj0EAwIw
MzEWMBQGA1UECgwNUm9vdGxpbmcgdGVzdDEZMBcGA1UEAwwQQSByb290IGZvciB0
ZXN0czAgFw0yNjExMjkwMjI5MjBaGA8yMTI2MTEwNTAyMjkyMFowMzEWMBQGA1UE
CgwNUm9vdGxpbmcgdGVzdDEZMBcGA1UEAwwQQSByb290IGZvciB0ZXN0czBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABFkJAvQY4+ypxkl6ixQdkgwoNnNHcPW3y1z7
sbPF24Grky9Tdr6CUCoDGb7TmDoHpThfNgIDUrQD9UG8r5tMyOejUzBRMB0GA1Ud
DgQWBBT98fzC1bazrGPICjv8YsaBlQpvHDAfBgNVHSMEGDAWgBT98fzC1bazrGPI
Cjv8YsaBlQpvHDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQDb
Y/09k0KDSuShHgTzoj5qxcRqT7ua0sI6EwrHAvZwPgIhAOe9DcLu7BFdeqlJYnhp
i/U0blzCwOQ+pBUIc2Z8Y2+w`,
    'base64',
  ),
)
