#!/usr/bin/env node
// Simulates launchctl(1) of macOS, `managername`: Aqua in a desktop session, Background over ssh.
import { fail, readState } from './support.mjs'

const args = process.argv.slice(2)
if (args.length !== 1 || args[0] !== 'managername') fail(64, `Unrecognized subcommand: ${args[0]}`)
console.log(readState('macos', { session: 'Aqua' }).session)
