import { expect, test } from 'vitest'
import { homeDirectory, homeOutsideSnap, xdgDirectory } from '../../src/home/home-directory.ts'

test.each([
  ['/data', '/data'],
  ['', null],
  ['data', null],
  ['/home/ada/snap/code/180/.local/share', null],
  ['/home/ada/snap/code/x1', null],
  ['/home/ada/snap/code/current/.local/share', null],
  ['/home/ada/snap/code/common', null],
  ['/real/ada/snap/code/2/.config', null],
  ['/home/ada/snap/code', '/home/ada/snap/code'],
  ['/home/ada/snap/work/shared', '/home/ada/snap/work/shared'],
  ['/elsewhere/snap/code/180', '/elsewhere/snap/code/180'],
])('XDG_DATA_HOME=%s counts as %s', (value, counts) => {
  const env = { HOME: '/home/ada', SNAP_REAL_HOME: '/real/ada', XDG_DATA_HOME: value }
  expect(xdgDirectory('XDG_DATA_HOME', env)).toBe(counts)
})

test.each([
  ['/home/ada', null],
  ['/home/ada/snap/code/180', '/home/ada'],
  ['/home/ada/snap/code/x1', '/home/ada'],
  ['/home/ada/snap/code', null],
  ['/home/ada/snap/work/shared', null],
  ['/elsewhere/snap/code/180', null],
])('with HOME=%s, the home outside of a strict snap is %s', (HOME, outside) => {
  const env = { HOME, SNAP_REAL_HOME: '/home/ada' }
  expect(homeOutsideSnap(env)).toBe(outside)
  if (process.platform !== 'win32') expect(homeDirectory(env)).toBe(outside ?? HOME)
})

test.skipIf(process.platform === 'win32')('a HOME that is no home is refused', () => {
  expect(homeDirectory({ HOME: '/home/ada' })).toBe('/home/ada')
  for (const HOME of ['', '/', '/..', 'here'])
    expect(() => homeDirectory({ HOME })).toThrow(/^(?:HOME is empty|HOME must be|The home dir)/)
})
