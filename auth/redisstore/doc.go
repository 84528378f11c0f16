// Package redisstore is a store in Redis for the nodes of one service: it contains tickets that can still be redeemed, and
// revocations.
package redisstore
