#!/usr/bin/env node
// Simulates update-ca-certificates of Alpine. Source: alpinelinux/ca-certificates, update-ca.c: no
// argument is looked at; /usr/local/share/ca-certificates goes into /etc/ssl/certs as links named
// `ca-cert-NAME.pem`; a link into it that is not wanted any more is removed; then run-parts runs
// `certhash`, which makes OpenSSL's hash links afresh (c_rehash).
import { execFileSync } from 'node:child_process'
import { mkdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs'
import path from 'node:path'
import { at, collect, names, writeBundle } from './bundles.mjs'
import { fail, isRoot } from './support.mjs'

const source = '/usr/local/share/ca-certificates'
const certs = '/etc/ssl/certs'
if (!isRoot) fail(1, `Failed to open temporary file ${certs}/bundleXXXXXX for ca bundle`)
mkdirSync(at(certs), { recursive: true })
writeBundle(`${certs}/ca-certificates.crt`, collect([source]))

const wanted = new Map(
  names(source).map((name) => {
    const safe = name
      .replace(/\.crt$/, '')
      .replaceAll(/[ ,]/g, '_')
      .replaceAll(/[()]/g, '=')
    return [`ca-cert-${safe}.pem`, at(path.join(source, name))]
  }),
)
for (const name of names(certs)) {
  const target = linkTarget(name)
  // c_rehash begins by taking away every hash link.
  const isHash = /^[0-9a-f]{8}\.\d+$/.test(name)
  if (isHash || (target?.startsWith(at(source)) && !wanted.has(name)))
    rmSync(at(`${certs}/${name}`))
}
for (const [name, target] of wanted) {
  if (linkTarget(name) !== target) symlinkSync(target, at(`${certs}/${name}`))
}
execFileSync('openssl', ['rehash', at(certs)], { stdio: 'ignore' })

function linkTarget(name) {
  try {
    return readlinkSync(at(`${certs}/${name}`))
  } catch {
    return null
  }
}
