import type { Policy } from '../contract/policy.ts'

/** What a policy can name an image by. */
export type ImagePolicy = Pick<Policy, 'image' | 'containerfile'>

/** The images of a level whose cells start from one; see `CellDriver.images`. */
export interface CellImages {
  /** Finds the image of a policy, or builds it: what cannot be had is told before a mission exists. */
  require(policy: ImagePolicy, abort: AbortSignal): Promise<void>
  /** Deletes images of ours that none of these policies means and that nobody used for long. Others' are left alone. */
  sweep(policies: readonly ImagePolicy[]): Promise<void>
}
