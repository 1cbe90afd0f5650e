#!/usr/bin/env node
// Simulates `trust extract-compat` alone, as Arch links it to update-ca-trust; the other commands
// of p11-kit run for real in the lifecycle. Source: trust(1) and p11-kit's example of the script:
// without root it is skipped with exit code 0, and an unknown option is usage, exit code 2.
import { collect, writeBundle } from './bundles.mjs'
import { fail, isRoot } from './support.mjs'

const [command, ...rest] = process.argv.slice(2)
if (command !== 'extract-compat') fail(2, `p11-kit: '${command}' is not a valid command.`)
if (rest.length > 0) fail(2, `extract-compat: unrecognized option '${rest[0]}'`)
if (!isRoot) fail(0, 'trust: running as non-root user: skip extracting compat bundles')
const sources = ['/usr/share/ca-certificates/trust-source', '/etc/ca-certificates/trust-source']
const anchors = sources.map((source) => `${source}/anchors`)
writeBundle('/etc/ca-certificates/extracted/tls-ca-bundle.pem', collect(anchors))
