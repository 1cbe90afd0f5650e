import { writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hostsFile } from '../../src/hosts/hosts-file.ts'
import { unresolvedNames } from '../../src/hosts/unresolved.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

test('names of reserved domains that the hosts file lacks are found, and no others', async () => {
  const file = join(await temporaryDirectory(), 'hosts')
  const lines = [
    '127.0.0.1\tlocalhost Shop.Test # b.test',
    '#127.0.0.1 c.test',
    '::1 d.test# e.test',
  ]
  writeFileSync(file, lines.join('\r\n'))
  const names = 'shop.test b.test c.test d.test e.test a.example x.invalid xn--bcher-kva.test'
  expect(unresolvedNames(names.split(' '), file)).toEqual(
    'b.test c.test e.test a.example x.invalid xn--bcher-kva.test'.split(' '),
  )
  // What mDNS finds is another machine, or this one by its own name.
  const own = `${hostname().replace(/\..*$/, '')}.local`
  expect(unresolvedNames(['shop.local', own, own.toUpperCase()], file)).toEqual(['shop.local'])
  const unknown = 'localhost app.localhost db *.shop.test a.lan a.internal dev.example.com a@b.test'
  expect(unresolvedNames(unknown.split(' '), file)).toEqual([])
  expect(unresolvedNames(['127.0.0.1', '::1', 'spiffe://a.test'], file)).toEqual([])
})

test('without a hosts file that can be read, nothing is said', async () => {
  const directory = await temporaryDirectory()
  expect(unresolvedNames(['b.test'], directory)).toEqual([])
  expect(unresolvedNames(['b.test'], join(directory, 'hosts'))).toEqual([])
})

test('the hosts file of Windows is below its system directory', () => {
  expect(hostsFile({}, 'linux')).toBe('/etc/hosts')
  expect(hostsFile({ SystemRoot: 'D:\\Win' }, 'win32')).toBe(
    'D:\\Win\\System32\\drivers\\etc\\hosts',
  )
})
