export { sharedSkeleton } from '../../linux/skeleton.ts'
