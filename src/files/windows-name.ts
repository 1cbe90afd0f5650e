/**
 * Whether Windows before 11 takes a file of this name for a device, whatever directory it is in: such
 * a name does so with any ending ("Naming Files, Paths, and Namespaces" in Microsoft's documentation).
 */
export const isDeviceName = (name: string): boolean =>
  /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:[.:]|$)/i.test(name)

/**
 * Returns the name itself, or on Windows one that Windows takes for a file: without the characters
 * that it forbids there, and with `_` before the name of a device.
 */
export function fileName(name: string, system: NodeJS.Platform = process.platform): string {
  if (system !== 'win32') return name
  // oxlint-disable-next-line no-control-regex -- Windows forbids them
  const plain = name.replace(/[<>:"|?*\\/\x00-\x1f]/g, '_')
  return isDeviceName(plain) ? `_${plain}` : plain
}
