import { expect, test } from 'vitest'
import { shownPath, withShownPaths } from '../../src/cli/shown-path.ts'

const near = { home: '/home/ada', cwd: '/home/ada/shop' }

test.each([
  ['/home/ada/shop/tls/a.pem', 'tls/a.pem'],
  ['/home/ada/shop/-a.pem', './-a.pem'],
  ['/home/ada/shop/~a.pem', './~a.pem'],
  ['/home/ada/.local/share/rootling', '~/.local/share/rootling'],
  ['/home/ada/shopping/a.pem', '~/shopping/a.pem'],
  ['/home/adam/a.pem', '/home/adam/a.pem'],
  ['/home/ada', '/home/ada'],
  ['/etc/ssl/certs', '/etc/ssl/certs'],
])('%s is shown as %s', (path, expected) => {
  expect(shownPath(path, near, 'linux')).toBe(expected)
  expect(shownPath(path, near, 'win32')).toBe(path)
  expect(shownPath('C:\\My certs\\a.pem', near, 'win32')).toBe('"C:\\My certs\\a.pem"')
})

test.each([
  ['/home/ada/shop/my certs/a.pem', "'my certs/a.pem'"],
  ['/home/ada/shop/-my a.pem', "'./-my a.pem'"],
  ['/home/ada/my certs/a.pem', "~/'my certs/a.pem'"],
  ["/home/ada/it's.pem", String.raw`~/'it'\''s.pem'`],
  ['/home/josé/a.pem', '/home/josé/a.pem'],
  ['/srv/a\nError: x.pem', String.raw`$'/srv/a\nError: x.pem'`],
  ['/srv/\u202eb.pem', String.raw`$'/srv/\xe2\x80\xaeb.pem'`],
])('%j is shown in quotes, as a shell takes it, if it reads as several words', (path, expected) => {
  expect(shownPath(path, near, 'linux')).toBe(expected)
  // What is in quotes is neither shortened nor completed later.
  expect(withShownPaths(`There is no file ${expected}.`, near, 'linux')).toBe(
    `There is no file ${expected}.`,
  )
})

test('in the home and above it, ~ stands for the home', () => {
  for (const cwd of ['/home/ada', '/home', '/', undefined])
    expect(shownPath('/home/ada/a.pem', { home: '/home/ada', cwd }, 'linux')).toBe('~/a.pem')
  for (const home of ['/', '', undefined])
    expect(shownPath('/srv/a.pem', { home, cwd: '/' }, 'linux')).toBe('/srv/a.pem')
})

test('a command in a sentence works when it is pasted', () => {
  const sentence = (text: string) => withShownPaths(text, near, 'linux')
  expect(sentence('/home/ada/x.pem is there (/home/ada/shop/y), so: mv /home/ada/x.pem z')).toBe(
    '~/x.pem is there (y), so: mv ~/x.pem z',
  )
  // A shell puts no home for a ~ in quotes, or after the = of an option.
  for (const text of [
    "To move it: mv '/home/ada/my x' z",
    'To see it: sh -c "cat /home/ada/x"',
    'ROOTLING_HOME=/home/ada/state rootling list',
    'https://example.test/home/ada/x',
  ])
    expect(sentence(text)).toBe(text)
})
