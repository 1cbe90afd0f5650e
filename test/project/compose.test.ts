import { expect, test } from 'vitest'
import { publishedSites, serviceNames } from '../../src/project/compose.ts'

const sites = (text: string): string[] =>
  publishedSites(text).map(
    ({ service, port, secure }) => `${service} ${secure ? 'https' : 'http'} ${port}`,
  )

test.each([
  ['the short form', 'services:\n  web:\n    ports:\n      - "8443:443"\n', ['web https 8443']],
  ['without quotes', 'services:\n  web:\n    ports:\n    - 8080:80 # http\n', ['web http 8080']],
  ['a list in one line', "services:\n web:\n  ports: ['3000:3000']\n", ['web http 3000']],
  ['an address', 'services:\n web:\n  ports:\n   - 127.0.0.1:8000:80/tcp\n', ['web http 8000']],
  ['a default', 'services:\n web:\n  ports:\n   - "${PORT:-8081}:80"\n', ['web http 8081']],
  [
    'the long form',
    'services:\n web:\n  ports:\n   - name: site\n     published: "8443"\n     target: 443\n',
    ['web https 8443'],
  ],
  [
    'several services, and the first site of each',
    'name: shop\nservices:\n  web:\n    ports: ["8080:80", "8443:443"]\n    image: x\n\n  # the other\n  api:\n    image: y\n    ports:\n      - "9000:8080"\nvolumes:\n  data:\n    ports:\n      - "1:80"\n',
    ['web http 8080', 'api http 9000'],
  ],
])('finds a site in %s', (_title, text, found) => {
  expect(sites(text)).toEqual(found)
})

test.each([
  ['a database', 'services:\n db:\n  ports:\n   - "5432:5432"\n'],
  ['a port that Docker chooses', 'services:\n web:\n  ports:\n   - "80"\n'],
  ['an address elsewhere', 'services:\n web:\n  ports:\n   - "10.0.0.1:80:80"\n'],
  ['a range', 'services:\n web:\n  ports:\n   - "8000-8001:80-81"\n'],
  ['UDP', 'services:\n web:\n  ports:\n   - "443:443/udp"\n'],
  ['no such port', 'services:\n web:\n  ports:\n   - "99999:80"\n'],
  ['what is only exposed', 'services:\n web:\n  expose:\n   - "80"\n'],
  ['labels', 'services:\n web:\n  labels:\n   - "8080:80"\n'],
  ['another part of the file', 'x-web:\n web:\n  ports:\n   - "8080:80"\n'],
  ['no YAML', 'ports: {{{ [ "8080:80"'],
])('finds no site in %s', (_title, text) => {
  expect(sites(text)).toEqual([])
})

test('names every service, and nothing of another part of the file', () => {
  const text =
    'name: shop\nx-base: &base\n  web: 1\nservices:\n  "web":\n    ports:\n      - "1:80"\n  # the other\n  db: &db\n    image: y\nvolumes:\n  data:\n'
  expect(serviceNames(text)).toEqual(['web', 'db'])
  for (const none of ['', 'services: {web: {image: x}}', 'volumes:\n  data:\n'])
    expect(serviceNames(none)).toEqual([])
})
