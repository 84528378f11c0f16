// Package redisstore stores in Redis what the nodes of one service share about clients: tickets that can still be redeemed, and
// revocations.
package redisstore
