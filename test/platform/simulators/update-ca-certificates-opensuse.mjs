#!/usr/bin/env node
// Simulates update-ca-certificates of openSUSE. Source: openSUSE/ca-certificates,
// update-ca-certificates (one option, in the first place; anything else after a dash is exit code
// 1; in a transactional update it only leaves a mark and exits 0) and certbundle.run (the bundle).
import { mkdirSync, writeFileSync } from 'node:fs'
import { at, collect, writeBundle } from './bundles.mjs'
import { fail, isRoot } from './support.mjs'

const [option] = process.argv.slice(2)
if (option === '-h' || option === '--help') fail(0, 'USAGE: update-ca-certificates [OPTIONS]')
const known = [undefined, '-v', '--verbose', '-f', '--fresh']
if (!known.includes(option) && option.startsWith('-')) fail(1, `invalid option: ${option}`)
if (!isRoot) fail(1, 'rm: cannot remove /etc/pki/trust/.updated: Permission denied')
if (/^(true|yes|1)$/.test(process.env.TRANSACTIONAL_UPDATE ?? '')) {
  mkdirSync(at('/etc/pki/trust'), { recursive: true })
  writeFileSync(at('/etc/pki/trust/.updated'), '')
} else {
  const sources = ['/usr/share/pki/trust', '/etc/pki/trust']
  const anchors = sources.map((source) => `${source}/anchors`)
  writeBundle('/var/lib/ca-certificates/ca-bundle.pem', collect(anchors))
}
