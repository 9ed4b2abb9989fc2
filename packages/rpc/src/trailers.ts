/** Trailers of a call that failed: the error's reason, and its details (packages/errors). */
export const reasonKey = "berth-reason";
export const detailsKey = "berth-details-bin";
