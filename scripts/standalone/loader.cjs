// What the single executable runs first. It holds the bundles of dist/cli as assets, and with each
// the code that V8 compiled from it. A bundle is compiled when something requires it first, as a
// file would be.
'use strict'
const { getRawAsset } = require('node:sea')
const { isAbsolute } = require('node:path')
const { Script } = require('node:vm')

// Where the bundles would be if the executable were a directory: no file can be there. Where Linux
// has no /proc, Node knows the program by its name alone.
const directory = isAbsolute(process.execPath) ? process.execPath : '/dev/null'

const loaded = new Map()

function load(name) {
  const known = loaded.get(name)
  if (known !== undefined) return known.exports
  const part = { exports: {} }
  loaded.set(name, part)
  const filename = `${directory}/${name}`
  const source = Buffer.from(getRawAsset(name)).latin1Slice()
  // The build writes in place of HAS_CODE whether the executable has compiled code.
  const cachedData = HAS_CODE ? Buffer.from(getRawAsset(`${name}.code`)) : undefined
  const run = new Script(source, { filename, cachedData }).runInThisContext()
  run.call(part.exports, part.exports, requirePart, part, filename, directory)
  return part.exports
}

// Bundles are flat here: each has a name of its own.
function requirePart(id) {
  if (id.startsWith('./')) return load(id.slice(id.lastIndexOf('/') + 1))
  return id === 'pg' ? load('pg.cjs') : require(id)
}

// A link of either name is mkcert's drop-in: that of the npm package, and the one that scripts call.
const isMkcert = /(?:^|[/\\])(?:rootling-)?mkcert(?:\.exe)?$/i.test(process.argv0)
load(isMkcert ? 'rootling-mkcert.cjs' : 'rootling.cjs')
