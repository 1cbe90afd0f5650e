import { describe, expect, test } from 'vitest'
import { fitsPattern, parseNamePattern } from '../../src/acme/name-patterns.ts'

const fits = (pattern: string, value: string): boolean =>
  fitsPattern({ type: /^[\d.]+$|:/.test(value) ? 'ip' : 'dns', value }, [parseNamePattern(pattern)])

describe('a pattern of names', () => {
  test('without a star is for one name', () => {
    expect(fits('API.team.internal', 'api.team.internal')).toBe(true)
    for (const other of ['a.api.team.internal', '*.api.team.internal', 'xapi.team.internal'])
      expect(fits('api.team.internal', other)).toBe(false)
  })

  test('with a star is for all names and wildcards below the domain, and not the domain', () => {
    for (const name of ['a.team.internal', 'a.b.team.internal', '*.team.internal'])
      expect(fits('*.team.internal', name)).toBe(true)
    expect(fits('*.team.internal', '*.b.team.internal')).toBe(true)
    for (const other of ['team.internal', 'steam.internal', '*.internal', 'a.team.internal.test'])
      expect(fits('*.team.internal', other)).toBe(false)
  })

  test('of addresses is for these, and for no name', () => {
    expect(fits('10.2.0.7', '10.2.0.7')).toBe(true)
    expect(fits('10.2.0.7', '10.2.0.8')).toBe(false)
    expect(fits('10.2.3.4/16', '10.2.200.1')).toBe(true)
    expect(fits('10.2.0.0/16', '10.3.0.1')).toBe(false)
    expect(fits('fd00::/8', 'fd12::1')).toBe(true)
    expect(fits('10.2.0.0/16', 'a.test')).toBe(false)
    expect(fits('*.test', '10.2.0.7')).toBe(false)
  })

  test('has one form, and is refused in any other', () => {
    expect(parseNamePattern('10.2.3.4/16')).toBe('10.2.0.0/16')
    expect(parseNamePattern('FD00:0::1/128')).toBe('fd00::1')
    expect(parseNamePattern('*.Bücher.test')).toBe('*.xn--bcher-kva.test')
    for (const wrong of ['', '*', 'a.*.test', 'me@a.test', 'https://a.test', '10.2.0.0/33', 'a b'])
      expect(() => parseNamePattern(wrong)).toThrow('is not a name, *.DOMAIN')
  })
})
