import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { mobileconfig } from '../../../src/sites/share/mobileconfig.ts'

test('a profile holds a name with every letter, and has the same identifiers for the same roots', () => {
  const der = Buffer.from('3000', 'hex')
  const name = 'a <b> & "c" \u0001\u{1F600} ]]>'
  const text = mobileconfig([{ name, der }], name)
  const read = `import plistlib, sys, json
profile = plistlib.loads(sys.stdin.buffer.read())
print(json.dumps([profile['PayloadDisplayName'], profile['PayloadContent'][0]['PayloadContent'].hex()]))`
  const said = execFileSync('python3', ['-c', read], { input: text, encoding: 'utf8' })
  expect(JSON.parse(said)).toEqual([name.replace('\u0001', ''), '3000'])
  expect(mobileconfig([{ name, der }], name)).toBe(text)
  expect(mobileconfig([{ name, der: Buffer.from('3001', 'hex') }], name)).not.toBe(text)
})
