#!/usr/bin/env node
// Simulates update-ca-trust of Fedora and Arch, which run `trust extract` into the directories that
// programs read. Sources: update-ca-trust(8) of Fedora's ca-certificates (the commands check,
// enable, force-enable, force-disable, extract; on CentOS 6 everything was disabled until `enable`)
// and the script of Arch's ca-certificates-utils.
import { collect, writeBundle } from './bundles.mjs'
import { fail, isRoot, readState } from './support.mjs'

const [command = 'extract', ...rest] = process.argv.slice(2)
const { distribution, disabled } = readState('linux', { distribution: 'fedora', disabled: false })
const known = distribution === 'fedora' ? ['extract', 'check', 'enable'] : ['extract']
if (!known.includes(command) || rest.length > 0) fail(1, `Unrecognized command: ${command}`)
if (!isRoot) fail(1, "p11-kit: couldn't open: Permission denied")
// CentOS 6 said nothing and did nothing.
if (command === 'extract' && !disabled) {
  if (distribution === 'fedora') {
    const sources = ['/usr/share/pki/ca-trust-source/anchors', '/etc/pki/ca-trust/source/anchors']
    writeBundle('/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', collect(sources))
  } else {
    const sources = ['/usr/share/ca-certificates/trust-source', '/etc/ca-certificates/trust-source']
    const anchors = sources.map((source) => `${source}/anchors`)
    writeBundle('/etc/ca-certificates/extracted/tls-ca-bundle.pem', collect(anchors))
  }
}
