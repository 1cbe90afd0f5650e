/** The owner of the files that are written: with sudo, the user who called sudo. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** A directory that belongs to this program, and the owner of the files in it. */
export interface Directory {
  readonly path: string
  /** `null`: files keep this process's owner. */
  readonly owner: Owner | null
}
