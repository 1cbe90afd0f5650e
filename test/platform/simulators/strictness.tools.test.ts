import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { makeRoot } from '../world.ts'
import { createMac, createWindows, loginKeychain } from './machine.ts'
import { createSimulatedMachine, type SimulatedMachine } from './machine.ts'

const { anchor } = makeRoot()

function withRoot(machine: SimulatedMachine) {
  onTestFinished(() => machine.remove())
  const file = path.join(machine.directory, 'root.pem')
  writeFileSync(file, anchor.pem)
  const fill = (line: string) => line.split(' ').map((word) => (word === 'FILE' ? file : word))
  return { machine, fill }
}

describe('security refuses', () => {
  test.each([
    ['an unknown command', 'trust-cert FILE', 1],
    ['no certificate', 'add-trusted-cert -r trustRoot', 2],
    ['an unknown flag', 'add-trusted-cert -x FILE', 2],
    ['a flag after the file', 'add-trusted-cert FILE -r trustRoot', 2],
    ['an unknown result', 'add-trusted-cert -r trusted FILE', 2],
    ['an unknown policy', 'add-trusted-cert -p tls FILE', 2],
    ['two files to distrust', 'remove-trusted-cert FILE FILE', 2],
    ['trust that was never given', 'remove-trusted-cert FILE', 1],
    ['an unknown policy to verify', 'verify-cert -c FILE -p tls', 2],
    ['nothing to verify', 'verify-cert -q', 2],
    ['a file without a certificate', 'verify-cert -c /dev/null -p ssl', 1],
    ['a keychain that is not there', 'find-certificate -a /nowhere', 50],
    ['one certificate where none is', `find-certificate -c nobody ${loginKeychain}`, 44],
    ['no hash to delete', `delete-certificate ${loginKeychain}`, 2],
    ['a certificate to delete that is not there', `delete-certificate -Z AB ${loginKeychain}`, 1],
    ['an absent value', 'verify-cert -c', 2],
    ['a flag before the file to import', `import -k ${loginKeychain} FILE`, 2],
    ['an import without a keychain', 'import FILE -f pkcs12 -P x', 2],
    ['what is no PKCS #12', `import FILE -k ${loginKeychain} -f pkcs12 -P x`, 1],
    ['an identity to delete that is not there', `delete-identity -Z AB ${loginKeychain}`, 1],
  ])('%s', async (_, line, code) => {
    const { machine, fill } = withRoot(createMac())
    const { exitCode } = await machine.query('/usr/bin/security', fill(line))
    expect(exitCode).toBe(code)
  })

  test('a line of its interactive mode whose quotes do not match', async () => {
    const { machine } = withRoot(createMac())
    const secret = `import "/nowhere -k ${loginKeychain} -f pkcs12 -P x\n`
    const { exitCode } = await machine.query('/usr/bin/security', ['-i'], { secret })
    expect(exitCode).not.toBe(0)
  })

  test('the admin domain to everybody but root', async () => {
    const { machine, fill } = withRoot(createMac())
    const args = fill('add-trusted-cert -d -r trustRoot FILE')
    const { exitCode } = await machine.query('/usr/bin/security', args)
    expect(exitCode).toBe(1)
  })
})

describe("Windows' certutil refuses", () => {
  test.each([
    ['no verb', '-user', 0x80070057],
    ['an unknown verb', '-L', 0x80070057],
    ['two verbs', '-store -addstore Root FILE', 0x80070057],
    ['an option behind its operands', '-addstore Root FILE -user', 0x80070057],
    ['no file', '-addstore Root', 0x80070057],
    ['a file that is not there', '-user -addstore Root /nowhere', 0x80070002],
    ['a file without a certificate', '-user -addstore Root /dev/null', 0x8007000d],
    ['the machine to a user', '-addstore Root FILE', 0x80070005],
    ['a certificate that is not there', '-user -store Root ab', 0x80092004],
    ['to delete what is not there', '-user -delstore Root ab', 0x80092004],
  ])('%s', async (_, line, code) => {
    const { machine, fill } = withRoot(createWindows())
    const { exitCode } = await machine.query('C:\\Windows\\System32\\certutil.exe', fill(line))
    expect(exitCode).toBe(code)
  })
})

describe('the smaller ones refuse', () => {
  test.each([
    ['windows-icacls.mjs', 'FILE /inheritance:r /grant:r Somebody:F', 1332],
    ['windows-icacls.mjs', 'FILE /grant', 87],
    ['windows-icacls.mjs', '/nowhere /inheritance:r', 2],
    ['windows-whoami.mjs', '/all', 1],
    ['wslpath.mjs', '-x FILE', 1],
    ['wslpath.mjs', '-w /nowhere', 1],
    ['wslpath.mjs', '-u FILE', 1],
    ['launchctl.mjs', 'list', 64],
    ['macos-netstat.mjs', '-an', 1],
    ['macos-ps.mjs', '-o pid=,ruid= -p 1', 1],
    ['macos-ps.mjs', '-o pid= -o command= -p 1', 1],
    ['macos-ps.mjs', '-o pid= -o ruid= -o uid= -p 4194305', 1],
    ['trust.mjs', 'bogus', 2],
    ['trust.mjs', 'extract-compat --bogus', 2],
    ['update-ca-trust.mjs', '--fresh', 1],
    ['update-ca-trust.mjs', 'extract', 1],
    ['update-ca-certificates-opensuse.mjs', '--verbos', 1],
    ['update-ca-certificates-opensuse.mjs', '--fresh', 1],
    ['update-ca-certificates-alpine.mjs', '', 1],
  ])('%s %s', async (name, line, code) => {
    const programs = { tool: name }
    const { machine, fill } = withRoot(createSimulatedMachine({ programs, wideExitCodes: true }))
    const { exitCode } = await machine.query('tool', fill(line))
    expect(exitCode).toBe(code)
  })
})

describe('PowerShell refuses', () => {
  const powershell = 'C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe'
  test.each([
    ['a profile of the person', ['-Command', "'present'"]],
    [
      'a statement that nobody here writes',
      ['-NoProfile', '-NonInteractive', '-Command', 'exit 0'],
    ],
    ['a double quote', ['-NoProfile', '-NonInteractive', '-Command', '"present"']],
  ])('%s', async (_, args) => {
    const { machine } = withRoot(createWindows())
    expect((await machine.query(powershell, args)).exitCode).toBe(1)
  })
})
