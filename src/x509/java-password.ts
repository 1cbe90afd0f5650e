/**
 * Whether Java opens a PKCS #12 file with this password. Its PBEKey takes U+0020 to U+007E alone, also
 * for the files of other programs; OpenSSL and NSS take all characters.
 */
export const isJavaPassword = (password: string): boolean => /^[\x20-\x7e]*$/.test(password)
